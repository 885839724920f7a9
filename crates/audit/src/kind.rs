//! What can happen, who can have done it, and how it can end.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// The text is none that this vocabulary knows: a row written by a later release, or damage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownText(pub String);

impl fmt::Display for UnknownText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is not in the audit vocabulary", self.0)
    }
}

impl std::error::Error for UnknownText {}

macro_rules! texts {
    ($(#[$doc:meta])* $type:ident { $($(#[$vdoc:meta])* $name:ident = $text:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum $type { $($(#[$vdoc])* #[serde(rename = $text)] $name),* }

        impl $type {
            /// Every value, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The stable text, as it is stored and logged.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text),* }
            }
        }

        impl FromStr for $type {
            type Err = UnknownText;
            fn from_str(text: &str) -> Result<Self, UnknownText> {
                Self::ALL.iter().copied().find(|value| value.as_str() == text).ok_or_else(|| UnknownText(text.to_owned()))
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

texts! {
    /// How the event ended.
    Outcome {
        /// It was done.
        Success = "success",
        /// It was refused; `reason` says why.
        Refusal = "refusal",
    }
}

texts! {
    /// Who caused the event.
    Actor {
        /// A person at a browser, known or not.
        Customer = "customer",
        /// A client at a back-channel endpoint.
        Client = "client",
        /// A resource server that introspects.
        ResourceServer = "resource_server",
        /// Somebody with the command line or the configuration.
        Operator = "operator",
        /// This server by itself, such as at key rotation.
        System = "system",
    }
}

texts! {
    /// What happened. The set is closed and the texts are stable.
    EventKind {
        /// A password was right.
        LoginSucceeded = "login_succeeded",
        /// A password was wrong, or the account is unknown, disabled or delayed.
        LoginFailed = "login_failed",
        /// A one-time password was accepted.
        SecondFactorSucceeded = "second_factor_succeeded",
        /// A one-time password or recovery code was wrong, replayed or came too soon.
        SecondFactorFailed = "second_factor_failed",
        /// An authenticator was enrolled.
        SecondFactorEnrolled = "second_factor_enrolled",
        /// An authenticator was removed.
        SecondFactorReset = "second_factor_reset",
        /// A fresh set of recovery codes replaced the old one.
        RecoveryCodesGenerated = "recovery_codes_generated",
        /// A recovery code stood in for the one-time password.
        RecoveryCodeUsed = "recovery_code_used",
        /// A password was changed.
        PasswordChanged = "password_changed",
        /// A new password was refused as weak, or the current one was wrong.
        PasswordChangeRefused = "password_change_refused",
        /// Somebody whom an upstream provider brought became a user.
        UpstreamUserCreated = "upstream_user_created",
        /// A user and a provider's subject were linked.
        UpstreamLinked = "upstream_linked",
        /// Such a link was removed.
        UpstreamUnlinked = "upstream_unlinked",
        /// A link was not made, because one of the two has another.
        UpstreamLinkRefused = "upstream_link_refused",
        /// An upstream provider's logout token was refused.
        UpstreamLogoutRefused = "upstream_logout_refused",
        /// A browser session began.
        SessionStarted = "session_started",
        /// A session reached a stronger class or was authenticated anew.
        SessionRenewed = "session_renewed",
        /// A session was ended by its owner, a logout, or a password change.
        SessionEnded = "session_ended",
        /// A logout request was refused.
        LogoutRefused = "logout_refused",
        /// A client took a logout token (BL-02).
        LogoutDelivered = "logout_delivered",
        /// A client took no logout token, and nobody tries any more (BL-02).
        LogoutDeliveryFailed = "logout_delivery_failed",
        /// A person consented, or widened a consent.
        ConsentGranted = "consent_granted",
        /// A person said no.
        ConsentDenied = "consent_denied",
        /// A person withdrew a consent: everything below it ended.
        ConsentWithdrawn = "consent_withdrawn",
        /// A device asks, and waits for a person (RFC 8628).
        DeviceStarted = "device_started",
        /// A device was refused, or a person typed a code under which none waits.
        DeviceRefused = "device_refused",
        /// A code was issued.
        AuthorizationIssued = "authorization_issued",
        /// An authorization request was refused.
        AuthorizationRefused = "authorization_refused",
        /// A code was exchanged for tokens.
        CodeRedeemed = "code_redeemed",
        /// A spent code came again: what it yielded was revoked (BCP-19).
        CodeReplayed = "code_replayed",
        /// Tokens were issued without a refresh token.
        TokenIssued = "token_issued",
        /// A token was exchanged for another (RFC 8693).
        TokenExchanged = "token_exchanged",
        /// A token was issued for a trusted issuer's assertion about a person (RFC 7523).
        AssertionGranted = "assertion_granted",
        /// Tokens were issued for a refresh token.
        TokenRefreshed = "token_refreshed",
        /// A token request was refused.
        TokenRefused = "token_refused",
        /// A token was revoked by its client.
        TokenRevoked = "token_revoked",
        /// A rotated refresh token came again: its family was revoked (BCP-08).
        RefreshReuseDetected = "refresh_reuse_detected",
        /// A client could not prove who it is.
        ClientAuthenticationFailed = "client_authentication_failed",
        /// An introspection request was refused.
        IntrospectionRefused = "introspection_refused",
        /// A userinfo request was refused.
        UserinfoRefused = "userinfo_refused",
        /// A revocation request was refused.
        RevocationRefused = "revocation_refused",
        /// A post failed its binding to browser and transaction (BCP-16).
        ForgeryRefused = "forgery_refused",
        /// A signing key was made and announced.
        KeyCreated = "key_created",
        /// A signing key began to sign.
        KeyActivated = "key_activated",
        /// A signing key ceased to sign; it stays published.
        KeyRetired = "key_retired",
        /// The private part of a key was destroyed and its public part withdrawn.
        KeyDestroyed = "key_destroyed",
        /// A key was declared compromised.
        KeyRevoked = "key_revoked",
        /// A declared client was created.
        ClientCreated = "client_created",
        /// A declared client was changed.
        ClientChanged = "client_changed",
        /// A client was deleted: everything below its consents ended.
        ClientDeleted = "client_deleted",
        /// A client registered itself.
        ClientRegistered = "client_registered",
        /// A registration, or its management, was refused.
        RegistrationRefused = "registration_refused",
        /// An operator made an initial access token.
        InitialTokenCreated = "initial_token_created",
        /// An operator ended an initial access token.
        InitialTokenRevoked = "initial_token_revoked",
        /// A client got a new secret.
        ClientSecretRotated = "client_secret_rotated",
        /// A declared user was created.
        UserCreated = "user_created",
        /// A declared user was changed.
        UserChanged = "user_changed",
        /// A user was disabled: all sessions and grants ended.
        UserDisabled = "user_disabled",
        /// A disabled user may sign in again.
        UserEnabled = "user_enabled",
        /// A declared scope was created.
        ScopeCreated = "scope_created",
        /// A declared scope was changed.
        ScopeChanged = "scope_changed",
        /// An operator declared a type of authorization details.
        DetailTypeCreated = "detail_type_created",
        /// An operator changed a type of authorization details.
        DetailTypeChanged = "detail_type_changed",
        /// A declared scope was deleted.
        ScopeDeleted = "scope_deleted",
        /// A declared resource server was created.
        ResourceServerCreated = "resource_server_created",
        /// A declared resource server was changed.
        ResourceServerChanged = "resource_server_changed",
        /// A declared resource server was deleted.
        ResourceServerDeleted = "resource_server_deleted",
        /// A resource server got a new introspection secret.
        ResourceServerSecretRotated = "resource_server_secret_rotated",
        /// The schema was migrated.
        SchemaMigrated = "schema_migrated",
        /// A copy of the database was taken.
        DatabaseCopied = "database_copied",
        /// The database was restored from a copy.
        DatabaseRestored = "database_restored",
        /// A process began to serve.
        ServerStarted = "server_started",
        /// A process drained and stopped.
        ServerStopped = "server_stopped",
    }
}

impl EventKind {
    /// How an event of this kind ends; the kind alone decides it.
    pub const fn outcome(self) -> Outcome {
        match self {
            Self::LoginFailed
            | Self::SecondFactorFailed
            | Self::PasswordChangeRefused
            | Self::LogoutRefused
            | Self::UpstreamLinkRefused
            | Self::UpstreamLogoutRefused
            | Self::LogoutDeliveryFailed
            | Self::DeviceRefused
            | Self::ConsentDenied
            | Self::AuthorizationRefused
            | Self::CodeReplayed
            | Self::TokenRefused
            | Self::RefreshReuseDetected
            | Self::ClientAuthenticationFailed
            | Self::IntrospectionRefused
            | Self::UserinfoRefused
            | Self::RevocationRefused
            | Self::RegistrationRefused
            | Self::ForgeryRefused => Outcome::Refusal,
            _ => Outcome::Success,
        }
    }

    /// Who usually causes it; [`Event::by`](crate::Event::by) says otherwise.
    pub const fn usual_actor(self) -> Actor {
        match self {
            Self::DeviceStarted
            | Self::DeviceRefused
            | Self::CodeRedeemed
            | Self::CodeReplayed
            | Self::TokenIssued
            | Self::TokenExchanged
            | Self::AssertionGranted
            | Self::TokenRefreshed
            | Self::TokenRefused
            | Self::TokenRevoked
            | Self::RefreshReuseDetected
            | Self::ClientAuthenticationFailed
            | Self::UserinfoRefused
            | Self::ClientRegistered
            | Self::RegistrationRefused
            | Self::RevocationRefused => Actor::Client,
            Self::IntrospectionRefused => Actor::ResourceServer,
            Self::ClientCreated
            | Self::ClientChanged
            | Self::ClientDeleted
            | Self::ClientSecretRotated
            | Self::InitialTokenCreated
            | Self::InitialTokenRevoked
            | Self::UserCreated
            | Self::UserChanged
            | Self::UserDisabled
            | Self::UserEnabled
            | Self::ScopeCreated
            | Self::ScopeChanged
            | Self::DetailTypeCreated
            | Self::DetailTypeChanged
            | Self::ScopeDeleted
            | Self::ResourceServerCreated
            | Self::ResourceServerChanged
            | Self::ResourceServerDeleted
            | Self::ResourceServerSecretRotated
            | Self::SchemaMigrated
            | Self::DatabaseCopied
            | Self::DatabaseRestored => Actor::Operator,
            Self::KeyCreated
            | Self::KeyActivated
            | Self::KeyRetired
            | Self::KeyDestroyed
            | Self::KeyRevoked
            | Self::LogoutDelivered
            | Self::LogoutDeliveryFailed
            | Self::ServerStarted
            | Self::ServerStopped => Actor::System,
            _ => Actor::Customer,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn texts_are_snake_case_distinct_and_round_trip() {
        let texts: BTreeSet<_> = EventKind::ALL.iter().map(|kind| kind.as_str()).collect();
        assert_eq!(texts.len(), EventKind::ALL.len());
        for kind in EventKind::ALL {
            assert!(kind.as_str().bytes().all(|b| b.is_ascii_lowercase() || b == b'_'), "{kind}");
            assert_eq!(kind.as_str().parse::<EventKind>().unwrap(), *kind);
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
        }
        assert_eq!("nonsense".parse::<EventKind>(), Err(UnknownText("nonsense".to_owned())));
        for actor in Actor::ALL {
            assert_eq!(actor.as_str().parse::<Actor>().unwrap(), *actor);
        }
    }

    #[test]
    fn names_that_say_refused_or_failed_are_refusals() {
        for kind in EventKind::ALL {
            let says_so = ["refused", "failed", "denied", "replayed", "reuse"]
                .iter()
                .any(|word| kind.as_str().contains(word));
            assert_eq!(kind.outcome() == Outcome::Refusal, says_so, "{kind}");
        }
    }
}
