//! Signing in with a bank or an employer: upstream OpenID Providers.
//!
//! A person on the sign-in page, or on the account page where they link an account, is sent to a
//! provider ([`send`]) and comes back ([`receive`]). In between there is one row: the digest of the
//! `state`, bound to the browser's cookie and the provider, used once by a conditional statement, and
//! expiring. So an answer that was replayed, that comes in another browser, or that was made for another
//! provider finds nothing.
//!
//! Who somebody is, a *link* says: issuer and subject ↔ user. E-mail addresses are never compared,
//! verified or not, because whoever controls a provider's e-mail claim would control accounts here. A
//! link to a user who exists is made only by that user, who has just signed in here as strongly as they
//! can ([`links`]); else somebody new becomes a user just in time, if the operator wants that, and nobody
//! else's. Disabled users stay out.
//!
//! What the provider says of the sign-in (`auth_time`, `acr`, `amr`) goes into the session as it is worth
//! here; [`next_step`](tokens::step::next_step) decides as ever, and asks for a second factor of our own
//! where that is not enough. [`parting`] is the end, on either side.

pub mod links;
pub mod parting;
pub mod receive;
pub mod send;

use std::{fmt, str::FromStr, sync::Arc, time::Duration};

use ::federation::{Provider, UpstreamConfig, UpstreamFault};
use chrono::TimeDelta;
use outbound::Outbound;
use protocol::{InteractionId, SessionId, UserId};
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use crate::service::Service;

/// A person comes back from a provider within this time, or starts again.
const ATTEMPT_LIFETIME: TimeDelta = TimeDelta::minutes(15);

/// How long a page waits to get to know the providers that it leads to.
const PATIENCE: Duration = Duration::from_secs(1);

/// The providers of the configuration, in its order.
#[derive(Clone, Default)]
pub(crate) struct Upstreams(Vec<Arc<Provider>>);

impl Upstreams {
    pub(crate) fn new(configs: &[UpstreamConfig], outbound: &Outbound) -> Self {
        let provider =
            |config: &UpstreamConfig| Arc::new(Provider::new(config.clone(), Arc::new(outbound.clone())));
        Self(configs.iter().map(provider).collect())
    }
}

/// What somebody is sent to a provider for.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
enum Errand {
    /// To sign in for an interaction.
    SignIn {
        interaction: InteractionId,
        /// Whether they must sign in anew there.
        fresh: bool,
        /// How old a sign-in there may be, in seconds.
        max_age: i64,
    },
    /// To show the account there that is to be linked.
    Link { session: SessionId, user: UserId },
    /// To sign out there too.
    Leave { redirect: Option<String> },
}

/// Why signing in with a provider did not work, as a page may say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpstreamProblem {
    /// The person, or the provider, said no there.
    Denied,
    /// The provider can't be reached.
    Unavailable,
    /// What came back is not believed.
    Failed,
    /// The provider did not ask the person to sign in anew.
    NotFresh,
    /// The account there belongs to nobody here, or to nobody who may sign in.
    NotLinked,
    /// No provider answers for that address.
    NoProvider,
}

impl UpstreamProblem {
    /// Every problem.
    pub const ALL: [Self; 6] =
        [Self::Denied, Self::Unavailable, Self::Failed, Self::NotFresh, Self::NotLinked, Self::NoProvider];

    /// A word for URLs and messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Denied => "denied",
            Self::Unavailable => "unavailable",
            Self::Failed => "failed",
            Self::NotFresh => "not-fresh",
            Self::NotLinked => "not-linked",
            Self::NoProvider => "no-provider",
        }
    }
}

impl FromStr for UpstreamProblem {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|problem| problem.as_str() == text).ok_or(())
    }
}

impl fmt::Display for UpstreamProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl From<&UpstreamFault> for UpstreamProblem {
    fn from(fault: &UpstreamFault) -> Self {
        match fault {
            UpstreamFault::Denied(_) => Self::Denied,
            UpstreamFault::Unreachable(_) | UpstreamFault::Metadata(_) | UpstreamFault::NoKey => {
                Self::Unavailable
            }
            UpstreamFault::NotFresh => Self::NotFresh,
            _ => Self::Failed,
        }
    }
}

impl Service {
    /// The upstream providers, in the order of the configuration.
    pub fn upstreams(&self) -> &[Arc<Provider>] {
        &self.0.upstreams.0
    }

    /// The provider of that name.
    pub fn upstream(&self, id: &str) -> Option<&Arc<Provider>> {
        self.upstreams().iter().find(|provider| provider.config().id.as_str() == id)
    }

    /// The provider that a typed user name or e-mail address belongs to by its domain (home-realm
    /// discovery). Hidden ones are found too.
    pub fn home_of(&self, login: &str) -> Option<&Arc<Provider>> {
        self.upstreams().iter().find(|provider| provider.config().answers_for(login))
    }

    /// The origins that forms which lead to providers pass through (BCP-22). Of providers that were never
    /// asked only a part is known, so they are asked now; a page waits a moment for that, once.
    pub async fn upstream_origins(&self) -> Vec<String> {
        let now = self.now();
        let unknown = self.upstreams().iter().filter(|provider| !provider.is_known()).cloned();
        // Tasks of their own: what a page does not wait for, the next page has.
        let ask = |provider: Arc<Provider>| {
            tokio::spawn(async move {
                if let Err(fault) = provider.get_to_know(now).await {
                    tracing::warn!(upstream = provider.config().id.as_str(), %fault, "a provider is not known");
                }
            })
        };
        let asked: Vec<_> = unknown.map(ask).collect();
        let all = async {
            for answer in asked {
                answer.await.ok();
            }
        };
        timeout(PATIENCE, all).await.ok();
        self.upstreams().iter().flat_map(|provider| provider.origins()).collect()
    }

    fn upstream_by_issuer(&self, issuer: &str) -> Option<&Arc<Provider>> {
        self.upstreams().iter().find(|provider| provider.config().issuer == issuer)
    }

    /// Where providers send people back to.
    fn callback(&self, provider: &Provider) -> String {
        format!("{}/federation/callback/{}", self.0.policies.issuer, provider.config().id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_have_words() {
        for problem in UpstreamProblem::ALL {
            assert_eq!(problem.as_str().parse(), Ok(problem));
        }
        assert_eq!("<script>".parse::<UpstreamProblem>(), Err(()));
    }
}
