//! Authentication context classes (`acr`) and methods (`amr`).
//!
//! The two classes are those of the payments world: one factor, and strong customer authentication
//! (two independent factors, PSD2 article 97) as Open Banking profiles name them. Methods are those
//! of RFC 8176.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// How strongly a person was authenticated; ordered from weak to strong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Acr {
    /// One factor.
    #[serde(rename = "urn:openbanking:psd2:ca")]
    CustomerAuthentication,
    /// Two independent factors.
    #[serde(rename = "urn:openbanking:psd2:sca")]
    StrongCustomerAuthentication,
}

impl Acr {
    /// Every class, weakest first, as metadata lists them in `acr_values_supported`.
    pub const ALL: [Self; 2] = [Self::CustomerAuthentication, Self::StrongCustomerAuthentication];

    /// The value on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CustomerAuthentication => "urn:openbanking:psd2:ca",
            Self::StrongCustomerAuthentication => "urn:openbanking:psd2:sca",
        }
    }
}

/// The text names no class of this server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an acr value of this server")]
pub struct UnknownAcr;

impl FromStr for Acr {
    type Err = UnknownAcr;
    fn from_str(text: &str) -> Result<Self, UnknownAcr> {
        Self::ALL.into_iter().find(|acr| acr.as_str() == text).ok_or(UnknownAcr)
    }
}

impl fmt::Display for Acr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An authentication method reference (RFC 8176 §2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Amr {
    /// A password.
    Pwd,
    /// A one-time password.
    Otp,
    /// More than one factor.
    Mfa,
}

impl Amr {
    /// The value on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pwd => "pwd",
            Self::Otp => "otp",
            Self::Mfa => "mfa",
        }
    }
}
