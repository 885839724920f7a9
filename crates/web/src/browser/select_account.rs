//! The page that asks who goes on (`prompt=select_account`, OC-06): the person who is signed in to this
//! browser, or somebody else. A browser has one session, so there is one account to go on with.

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use flows::interaction::Interaction;

use crate::{
    App,
    browser::{
        Visit,
        interaction::{Posted, asking_app, frame, go_on, leading_to_client},
    },
    pages::{AccountChoice, Page, SelectAccount},
};

/// Shows the question.
pub(super) fn page(app: &App, visit: &Visit, interaction: &Interaction) -> Response {
    let Some(visitor) = &interaction.visitor else { return visit.not_found(app) };
    let (id, user) = (interaction.record.id, &visitor.user);
    let username = user.username.as_str().to_owned();
    let page = SelectAccount {
        frame: frame(app, visit, interaction),
        csrf: interaction.csrf.expose().to_owned(),
        action_continue: format!("/interaction/{id}/account"),
        action_another: format!("/interaction/{id}/switch"),
        app: asking_app(interaction),
        account: AccountChoice {
            name: user.claims.name.clone().unwrap_or_else(|| username.clone()),
            username,
            since: visitor.session.auth_time,
        },
    };
    leading_to_client(Page::new(page).into_response(), interaction)
}

/// POST `account`: the person goes on with the account that was shown.
pub async fn choose(State(app): State<App>, posted: Posted) -> Response {
    let Posted { visit, id, csrf, .. } = posted;
    match app.service.choose_account(&visit.context, id, &visit.cookies, &csrf).await {
        Err(error) => visit.trouble(&app, &error),
        Ok(Some(refusal)) => visit.interaction_refused(&app, &refusal),
        Ok(None) => go_on(&app, id, None),
    }
}
