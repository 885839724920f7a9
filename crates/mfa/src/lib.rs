//! How a person proves who they are.
//!
//! * [`user`] is the account; [`password`] checks the first factor, [`totp`] and [`recovery`] the
//!   second; [`throttle`] slows down whoever guesses, but by [`device`] not the customer at home.
//! * [`policy`] says how strongly a request must be authenticated and what is the next step.
//! * [`session`] is the memory of a browser that proved it: it begins with a verified password at
//!   one factor and is stepped up by a verified second factor, with a new cookie each time.
//! * [`authentication`] holds the proofs that gate all this: [`VerifiedPassword`],
//!   [`VerifiedUpstream`], [`VerifiedSecondFactor`] and, what tokens are minted from, [`Authentication`].
//! * [`account`] is what people do to their own factors: change the password, reset TOTP.
//!
//! Everything is a pure function over values, `now` and entropy; structs called effects are the
//! arguments of one verb of the store each.

pub mod account;
pub mod authentication;
pub mod device;
pub mod password;
pub mod policy;
pub mod recovery;
pub mod session;
pub mod single_use;
pub mod throttle;
pub mod totp;
pub mod user;

pub use account::{PasswordChange, Rehash, TotpReset};
pub use authentication::{
    Authentication, Disabled, FirstFactor, SignInBasis, VerifiedPassword, VerifiedSecondFactor,
    VerifiedUpstream,
};
pub use device::{DeviceBinding, DeviceId};
pub use password::{
    HashMemory, HashingParams, PasswordHash, PasswordRefusal, PasswordWeakness, Pepper, acceptable, hash,
    verify,
};
pub use policy::{Demands, FactorStep, Requirement, SecondFactorPolicy, factor_step, required_acr};
pub use recovery::{RecoveryCodeReplacement, RecoveryCodeUse, RecoveryCodes};
pub use session::{
    NewSession, Session, SessionEnd, SessionFault, SessionOrigin, SessionPolicy, SessionRenewal, SessionTouch,
};
pub use single_use::{AlreadyUsed, SingleUse};
pub use throttle::{AttemptKind, AttemptReservation, Attempts, Guesser, RetryAfter, ThrottlePolicy};
pub use totp::{TotpAcceptance, TotpConfirmation, TotpCredential, TotpEnrolment, TotpFault, TotpSecret};
pub use user::{User, Username, UsernameFault};
