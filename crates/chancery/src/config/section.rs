//! How a section of settings is described once and used three times: as a type, as a reader, and as
//! a page of the reference.

use config::Value;

/// One setting as the reference shows it.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The key inside its section.
    pub key: &'static str,
    /// The lines of its documentation.
    pub about: &'static [&'static str],
    /// What kind of value it takes, such as `duration`.
    pub kind: &'static str,
    /// The present value as text; `None` if it is not set, or secret.
    pub value: Option<String>,
}

/// A named group of settings.
pub trait Section {
    /// The section's key.
    fn name(&self) -> &'static str;
    /// The lines of its documentation.
    fn about(&self) -> &'static [&'static str];
    /// Its settings, in order.
    fn entries(&self) -> Vec<Entry>;
    /// Sets the setting named `key`; `None` if there is no such setting, else what was wrong.
    fn assign(&mut self, key: &str, value: &Value) -> Option<Result<(), Unfit>>;
}

/// A value that does not fit its setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfit {
    /// What is wrong with it. Never repeats a secret.
    pub problem: String,
    /// What to write instead.
    pub remedy: String,
}

/// Declares a section: a type with defaults, its reader and its reference, from one text.
macro_rules! section {
    (
        $(#[doc = $about:literal])*
        $name:ident $key:literal {
            $($(#[doc = $doc:literal])* $field:ident: $type:ty = $default:expr;)*
        }
    ) => {
        $(#[doc = $about])*
        #[derive(Clone, Debug)]
        pub struct $name {
            $($(#[doc = $doc])* pub $field: $type,)*
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $($field: $default,)* }
            }
        }

        impl $crate::config::section::Section for $name {
            fn name(&self) -> &'static str {
                $key
            }

            fn about(&self) -> &'static [&'static str] {
                &[$($about),*]
            }

            fn entries(&self) -> Vec<$crate::config::section::Entry> {
                vec![$($crate::config::section::Entry {
                    key: stringify!($field),
                    about: &[$($doc),*],
                    kind: <$type as $crate::config::value::Setting>::KIND,
                    value: $crate::config::value::Setting::show(&self.$field),
                }),*]
            }

            fn assign(
                &mut self,
                key: &str,
                value: &config::Value,
            ) -> Option<Result<(), $crate::config::section::Unfit>> {
                match key {
                    $(stringify!($field) => Some(
                        $crate::config::value::Setting::read(value).map(|value| self.$field = value)
                    ),)*
                    _ => None,
                }
            }
        }
    };
}

pub(crate) use section;
