//! How strongly a request must be authenticated, and what is the next step towards it.
//!
//! Five voices are heard: the bank's policy (or the account's own, which an operator set in its
//! place), the client, the requested scope, and `acr_values`. What one of them demands, nobody else
//! can lower; so a password-only account signs in where all of them allow it and nowhere else.

use std::{fmt, str::FromStr};

use protocol::acr::Acr;
use serde::{Deserialize, Serialize};

/// When a second factor is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SecondFactorPolicy {
    /// Always; who has none enrols first.
    #[default]
    Required,
    /// Of those who have one.
    IfEnrolled,
}

impl SecondFactorPolicy {
    /// The text in configuration and store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Required => "required",
            Self::IfEnrolled => "if-enrolled",
        }
    }
}

impl fmt::Display for SecondFactorPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text is neither `required` nor `if-enrolled`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a second-factor policy is `required` or `if-enrolled`")]
pub struct UnknownPolicy;

impl FromStr for SecondFactorPolicy {
    type Err = UnknownPolicy;
    fn from_str(text: &str) -> Result<Self, UnknownPolicy> {
        [Self::Required, Self::IfEnrolled]
            .into_iter()
            .find(|policy| policy.as_str() == text)
            .ok_or(UnknownPolicy)
    }
}

/// Who demands what.
#[derive(Clone, Copy, Debug, Default)]
pub struct Demands<'a> {
    /// The bank's policy.
    pub bank: SecondFactorPolicy,
    /// The account's own policy, in place of the bank's.
    pub user: Option<SecondFactorPolicy>,
    /// The client's policy; it can only add to the others.
    pub client: Option<SecondFactorPolicy>,
    /// Whether the requested scope takes two factors.
    pub scope: bool,
    /// The known ones among the requested `acr_values`, preferred first (OC-29). Unknown ones are
    /// left out by the caller; they never fail a request (OC-07).
    pub acr_values: &'a [Acr],
}

/// How strong an authentication must be, and how strong it should be if the person can.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Requirement {
    minimum: Acr,
    preferred: Acr,
}

impl Requirement {
    /// Less than this is refused; who cannot reach it yet enrols.
    pub const fn minimum(self) -> Acr {
        self.minimum
    }

    /// This is asked of everybody who can. Never under the minimum.
    pub const fn preferred(self) -> Acr {
        self.preferred
    }
}

/// Adds the demands up.
pub fn required_acr(demands: &Demands<'_>) -> Requirement {
    use Acr::{CustomerAuthentication as One, StrongCustomerAuthentication as Two};
    let policies = [Some(demands.user.unwrap_or(demands.bank)), demands.client];
    let required = policies.contains(&Some(SecondFactorPolicy::Required));
    let if_enrolled = policies.contains(&Some(SecondFactorPolicy::IfEnrolled));
    // The client lists what satisfies it, preferred first: the weakest is enough.
    let acceptable = demands.acr_values.iter().copied().min().unwrap_or(One);
    let wished = demands.acr_values.first().copied().unwrap_or(One);
    let minimum = acceptable.max(if required || demands.scope { Two } else { One });
    let preferred = minimum.max(wished).max(if if_enrolled { Two } else { One });
    Requirement { minimum, preferred }
}

/// What has to happen before a session is strong enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FactorStep {
    /// Nothing.
    Satisfied,
    /// The person shows the second factor that they have.
    Challenge,
    /// The person enrols a second factor, which counts as showing it.
    Enrol,
}

/// The next step for a session of class `acr`, of a person with or without a confirmed second
/// factor.
pub fn factor_step(enrolled: bool, acr: Acr, requirement: Requirement) -> FactorStep {
    if acr >= requirement.preferred {
        FactorStep::Satisfied
    } else if enrolled {
        FactorStep::Challenge
    } else if acr >= requirement.minimum {
        FactorStep::Satisfied
    } else {
        FactorStep::Enrol
    }
}

#[cfg(test)]
mod tests {
    // The columns of the table are arguments.
    #![allow(clippy::too_many_arguments)]
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;
    use Acr::{CustomerAuthentication as CA, StrongCustomerAuthentication as SCA};
    use SecondFactorPolicy::{IfEnrolled, Required};

    #[rstest]
    // bank, user, client, scope, acr_values; enrolled, acr
    #[case(Required, None, None, false, &[], false, CA, FactorStep::Enrol)]
    #[case(Required, None, None, false, &[], true, CA, FactorStep::Challenge)]
    #[case(Required, None, None, false, &[], true, SCA, FactorStep::Satisfied)]
    #[case(IfEnrolled, None, None, false, &[], false, CA, FactorStep::Satisfied)]
    #[case(IfEnrolled, None, None, false, &[], true, CA, FactorStep::Challenge)]
    #[case(IfEnrolled, Some(Required), None, false, &[], false, CA, FactorStep::Enrol)]
    #[case(Required, Some(IfEnrolled), None, false, &[], false, CA, FactorStep::Satisfied)]
    #[case(Required, Some(IfEnrolled), Some(Required), false, &[], false, CA, FactorStep::Enrol)]
    #[case(IfEnrolled, None, None, true, &[], false, CA, FactorStep::Enrol)]
    #[case(IfEnrolled, None, None, false, &[SCA], false, CA, FactorStep::Enrol)]
    #[case(IfEnrolled, None, None, false, &[SCA, CA], false, CA, FactorStep::Satisfied)]
    #[case(IfEnrolled, None, None, false, &[SCA, CA], true, CA, FactorStep::Challenge)]
    #[case(IfEnrolled, None, None, false, &[CA], false, CA, FactorStep::Satisfied)]
    #[case(Required, None, None, false, &[CA], true, CA, FactorStep::Challenge)]
    fn oc_29_what_comes_next(
        #[case] bank: SecondFactorPolicy,
        #[case] user: Option<SecondFactorPolicy>,
        #[case] client: Option<SecondFactorPolicy>,
        #[case] scope: bool,
        #[case] acr_values: &[Acr],
        #[case] enrolled: bool,
        #[case] acr: Acr,
        #[case] expected: FactorStep,
    ) {
        let requirement = required_acr(&Demands { bank, user, client, scope, acr_values });
        assert_eq!(factor_step(enrolled, acr, requirement), expected);
    }

    fn policy() -> impl Strategy<Value = SecondFactorPolicy> {
        prop_oneof![Just(Required), Just(IfEnrolled)]
    }

    proptest! {
        #[test]
        fn no_demand_lowers_another(
            bank in policy(), user in prop::option::of(policy()), client in prop::option::of(policy()),
            scope in any::<bool>(), acr in prop::collection::vec(prop_oneof![Just(CA), Just(SCA)], 0..3),
            enrolled in any::<bool>(),
        ) {
            let with = required_acr(&Demands { bank, user, client, scope, acr_values: &acr });
            let without = required_acr(&Demands { bank, user, client: None, scope: false, acr_values: &[] });
            prop_assert!(with.minimum() >= without.minimum());
            prop_assert!(with.preferred() >= with.minimum());
            // Two factors always suffice, and one never does where two are demanded.
            prop_assert_eq!(factor_step(enrolled, SCA, with), FactorStep::Satisfied);
            if scope || client == Some(Required) {
                prop_assert_ne!(factor_step(enrolled, CA, with), FactorStep::Satisfied);
            }
        }
    }
}
