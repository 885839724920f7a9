//! `chancery users …`

use flows::{Clock, Service, SystemClock, operate::NewUser};
use mfa::{AttemptKind, Session, User, throttle::account_key};
use protocol::{SessionId, secret::Password};
use serde_json::{Map, Value, json};
use store::{ConsentFilter, Store, UserFilter};

use super::{
    Failure,
    answer::{Answer, Table, details, json, time},
    input::{self, GivenPassword},
    operator::{found, operate, outcome, with_service, with_store},
};
use crate::{
    cli::{
        Common,
        users::{PasswordSource, SessionsCommand, UserCreate, UsersCommand},
    },
    declare::difference::{object, without_absent},
};

const USER: &str = "user";

/// Runs one of them.
///
/// # Errors
/// As the exit codes say.
pub async fn run(command: &UsersCommand, common: &Common) -> Result<Answer, Failure> {
    match command {
        UsersCommand::List { search, after, limit } => {
            let filter = UserFilter { containing: search.clone(), after: after.clone() };
            with_store(common, async |store| list(store, &filter, *limit).await).await
        }
        UsersCommand::Show { user } => with_store(common, async |store| show(store, user).await).await,
        UsersCommand::Create(arguments) => {
            with_service(common, async |service| create(service, arguments).await).await
        }
        UsersCommand::SetPassword { user, password } => {
            with_service(common, async |service| set_password(service, user, password).await).await
        }
        UsersCommand::ResetMfa { user, confirm } => {
            let question = format!("Remove the second factor of {user} and end every session?");
            input::confirm(*confirm, &question)?;
            with_service(common, async |service| reset_mfa(service, user).await).await
        }
        UsersCommand::Disable { user, confirm } => {
            input::confirm(*confirm, &format!("Disable {user} and end every session and grant?"))?;
            with_service(common, async |service| disable(service, user).await).await
        }
        UsersCommand::Enable { user } => {
            with_service(common, async |service| enable(service, user).await).await
        }
        UsersCommand::Sessions(SessionsCommand::List { user }) => {
            with_store(common, async |store| sessions(store, user).await).await
        }
        UsersCommand::Sessions(SessionsCommand::End { user, session, .. }) => {
            with_service(common, async |service| end_sessions(service, user, *session).await).await
        }
    }
}

/// A user by name or by id.
///
/// # Errors
/// With exit code 3 if there is none.
pub async fn named(store: &Store, name_or_id: &str) -> Result<User, Failure> {
    let user = flows::operate::find_user(store, name_or_id).await.map_err(Failure::new)?;
    found(USER, name_or_id, user)
}

async fn list(store: &Store, filter: &UserFilter, limit: u32) -> Result<Answer, Failure> {
    // One more than is shown says whether there are more.
    let mut users = store.users_page(filter, limit.saturating_add(1)).await.map_err(Failure::new)?;
    let more = users.len() > limit as usize;
    users.truncate(limit as usize);
    let mut table = Table::new(["USERNAME", "ID", "STATE", "SECOND FACTOR", "ROLES", "CREATED"]);
    for user in &users {
        table.row([
            user.username.to_string(),
            user.id.to_string(),
            state(user).to_owned(),
            user.second_factor.map_or_else(|| "bank's policy".to_owned(), |policy| policy.to_string()),
            user.roles.join(" "),
            time(user.created_at),
        ]);
    }
    let answer = table.answer(users.iter().map(|user| Value::Object(shown(user))).collect());
    Ok(match users.last().filter(|_| more) {
        Some(last) => answer.note(format_args!("there are more: --after {}", last.username)),
        None => answer,
    })
}

async fn show(store: &Store, name_or_id: &str) -> Result<Answer, Failure> {
    let user = named(store, name_or_id).await?;
    let now = SystemClock.now();
    let totp = store.totp(user.id).await.map_err(Failure::new)?;
    let authenticator = match totp.map(|totp| totp.confirmed_at) {
        None => "none".to_owned(),
        Some(None) => "being set up".to_owned(),
        Some(Some(at)) => format!("since {}", time(at)),
    };
    let codes = store.recovery_codes_left(user.id).await.map_err(Failure::new)?;
    let sessions = store.sessions_of(user.id, now).await.map_err(Failure::new)?;
    let filter = ConsentFilter { user: Some(user.id), live_at: Some(now), ..ConsentFilter::default() };
    let consents = store.consents_page(&filter, 1000).await.map_err(Failure::new)?;
    let mut failures = 0;
    for kind in [AttemptKind::Password, AttemptKind::SecondFactor] {
        let attempts = store.attempts(&account_key(&user.username, kind)).await.map_err(Failure::new)?;
        failures += attempts.failures;
    }
    let mut members = shown(&user);
    members.insert("authenticator".to_owned(), authenticator.into());
    members.insert("recovery_codes_left".to_owned(), codes.into());
    members.insert("sessions".to_owned(), sessions.len().into());
    members.insert("consents".to_owned(), consents.len().into());
    members.insert("failed_attempts".to_owned(), failures.into());
    Ok(Answer::new(details(&members), Value::Object(members)))
}

async fn create(service: &Service, arguments: &UserCreate) -> Result<Answer, Failure> {
    let operate = operate(service);
    let mut claims = input::document(arguments.claims_file.as_deref())?;
    input::put(&mut claims, "name", arguments.name.as_ref());
    input::put(&mut claims, "email", arguments.email.as_ref());
    let claims = input::typed(claims).map_err(|fault| Failure::given(format_args!("claims: {fault}")))?;
    let (password, shown_once) = if arguments.no_password {
        (None, None)
    } else {
        let (password, shown_once) = chosen(service, &arguments.password)?;
        (Some(password), shown_once)
    };
    let user = outcome(
        operate
            .create_user(NewUser {
                username: arguments.username.clone(),
                password,
                claims,
                roles: arguments.role.clone(),
                second_factor: arguments.second_factor,
            })
            .await,
    )?;
    let done = format!("user {} is made, with the id {}", user.username, user.id);
    Ok(with_password(shown(&user), shown_once.as_ref(), &done))
}

async fn set_password(
    service: &Service,
    name_or_id: &str,
    source: &PasswordSource,
) -> Result<Answer, Failure> {
    // Nobody types a password for a user that there is none of.
    named(service.store(), name_or_id).await?;
    let (password, shown_once) = chosen(service, source)?;
    let user = outcome(operate(service).set_password(name_or_id, password).await)?;
    let done = format!("user {} has a new password; every session and grant has ended", user.username);
    Ok(with_password(shown(&user), shown_once.as_ref(), &done))
}

/// The password to set; again, if it was made and is to be shown.
fn chosen(service: &Service, source: &PasswordSource) -> Result<(Password, Option<Password>), Failure> {
    Ok(match input::password(source)? {
        GivenPassword::Given(password) => (password, None),
        GivenPassword::Generate => {
            let password = operate(service).new_password();
            (password.clone(), Some(password))
        }
    })
}

/// What was done. A new password stands alone on standard output.
fn with_password(mut members: Map<String, Value>, shown_once: Option<&Password>, text: &str) -> Answer {
    match shown_once {
        None => Answer::new(text, Value::Object(members)),
        Some(password) => {
            members.insert("password".to_owned(), password.expose().into());
            Answer::new(password.expose(), Value::Object(members))
                .note(format_args!("{text}; the password is shown this once:"))
        }
    }
}

async fn reset_mfa(service: &Service, name_or_id: &str) -> Result<Answer, Failure> {
    let reset = outcome(operate(service).reset_second_factor(name_or_id).await)?;
    let sessions = reset.sessions;
    let text = if reset.had_authenticator {
        format!("{name_or_id} has no second factor any more; {sessions} sessions ended")
    } else {
        format!("{name_or_id} had no authenticator; {sessions} sessions ended")
    };
    let json = json!({ "had_authenticator": reset.had_authenticator, "sessions_ended": sessions });
    Ok(Answer::new(text, json))
}

async fn disable(service: &Service, name_or_id: &str) -> Result<Answer, Failure> {
    let changed = outcome(operate(service).disable_user(name_or_id).await)?;
    let text = if changed { "is disabled; every session and grant has ended" } else { "was disabled before" };
    Ok(Answer::new(format!("{name_or_id} {text}"), json!({ "changed": changed })))
}

async fn enable(service: &Service, name_or_id: &str) -> Result<Answer, Failure> {
    let changed = outcome(operate(service).enable_user(name_or_id).await)?;
    let text = if changed { "may sign in again" } else { "was not disabled" };
    Ok(Answer::new(format!("{name_or_id} {text}"), json!({ "changed": changed })))
}

async fn sessions(store: &Store, name_or_id: &str) -> Result<Answer, Failure> {
    let user = named(store, name_or_id).await?;
    let sessions = store.sessions_of(user.id, SystemClock.now()).await.map_err(Failure::new)?;
    let mut table = Table::new(["SESSION", "STARTED", "LAST SEEN", "ENDS", "STRENGTH", "ADDRESS", "BROWSER"]);
    for session in &sessions {
        table.row([
            session.id.to_string(),
            time(session.created_at),
            time(session.last_seen_at),
            time(session.expires_at),
            session.amr.iter().map(|amr| amr.as_str()).collect::<Vec<_>>().join(" "),
            session.address.map(|address| address.to_string()).unwrap_or_default(),
            session.user_agent.clone().unwrap_or_default(),
        ]);
    }
    Ok(table.answer(sessions.iter().map(session_members).collect()))
}

async fn end_sessions(
    service: &Service,
    name_or_id: &str,
    only: Option<SessionId>,
) -> Result<Answer, Failure> {
    let ended = outcome(operate(service).end_sessions(name_or_id, only).await)?;
    let text = match ended {
        1 => "1 session ended".to_owned(),
        count => format!("{count} sessions ended"),
    };
    Ok(Answer::new(text, json!({ "ended": ended })))
}

fn session_members(session: &Session) -> Value {
    json!({
        "session": session.id,
        "started_at": time(session.created_at),
        "last_seen_at": time(session.last_seen_at),
        "expires_at": time(session.expires_at),
        "acr": session.acr.as_str(),
        "amr": session.amr.iter().map(|amr| amr.as_str()).collect::<Vec<_>>(),
        "address": session.address,
        "user_agent": session.user_agent,
    })
}

/// Everything about a user but the password.
fn shown(user: &User) -> Map<String, Value> {
    let mut members = Map::new();
    members.insert("username".to_owned(), json(&user.username));
    members.insert("id".to_owned(), json(user.id));
    members.insert("state".to_owned(), state(user).into());
    members.insert("claims".to_owned(), Value::Object(without_absent(object(&user.claims))));
    members.insert("roles".to_owned(), json(&user.roles));
    members.insert("second_factor".to_owned(), json(user.second_factor));
    members.insert("has_password".to_owned(), user.password.is_some().into());
    for (name, at) in [
        ("password_changed_at", user.password_changed_at),
        ("disabled_at", user.disabled_at),
        ("created_at", Some(user.created_at)),
    ] {
        members.insert(name.to_owned(), json(at.map(time)));
    }
    without_absent(members)
}

const fn state(user: &User) -> &'static str {
    if user.is_enabled() { "active" } else { "disabled" }
}
