//! The consent page: what the question says, in the customer's words.

use axum::response::{IntoResponse, Response};
use chrono::TimeDelta;
use consent::{ConsentAsk, ConsentGroup, ConsentItem};
use flows::interaction::{ConsentPage, Interaction};
use protocol::{
    authorization_details::MAX_DETAILS,
    claims::{StandardClaims, claim_of_entry, claims_of_entry},
    params::Params,
};
use serde_json::Value;
use tokens::client::Client;
use url::Url;

use crate::{
    App,
    browser::{
        Visit,
        interaction::{frame, leading_to_client},
    },
    pages::{
        ClientCard, Consent, ConsentItem as Line, DetailItem, Duration, Frame, Page, PersonalData,
        PersonalKind, ResourceGroup, Sensitivity, WebLink,
    },
};

/// Shows the question.
pub(super) fn page(app: &App, visit: &Visit, interaction: &Interaction, asked: &ConsentPage) -> Response {
    let ask = &asked.ask;
    let (Some(validated), Some(visitor)) = (&interaction.validated, &interaction.visitor) else {
        return visit.not_found(app);
    };
    let client = validated.client();
    let frame = frame(app, visit, interaction);
    let language = frame.language.tag().to_owned();
    let user = &visitor.user;
    let id = interaction.record.id;
    let offline_item =
        ask.groups().iter().flat_map(|group| &group.items).find(|item| is(item, "offline_access"));
    let page = Consent {
        csrf: interaction.csrf.expose().to_owned(),
        action_consent: format!("/interaction/{id}/consent"),
        action_switch: Some(format!("/interaction/{id}/switch")),
        client: card(app, client),
        signed_in_as: user.claims.name.clone().unwrap_or_else(|| user.username.as_str().to_owned()),
        groups: ask.groups().iter().filter_map(|group| resource_group(group, &language)).collect(),
        details: details(app, &frame, asked),
        unchosen: asked.unchosen,
        personal: personal(ask, &user.claims),
        duration: match ask.expiry(app.service.now(), lifetime(app, client)) {
            Some(end) => Duration::Until(end),
            None => Duration::UntilWithdrawn,
        },
        offline: offline_item.is_some(),
        offline_new: offline_item.is_some_and(|item| item.new),
        widening_since: ask.standing_since(),
        return_host: return_host(validated.redirect().uri()),
        frame,
    };
    leading_to_client(Page::new(page).into_response(), interaction)
}

/// The accounts that were chosen on the page: for each detail, by its position.
pub(super) fn chosen_accounts(params: &Params) -> Vec<Vec<String>> {
    let mut chosen = vec![Vec::new(); MAX_DETAILS];
    for name in params.names().filter(|name| !params.is_repeated(name)) {
        let position = name.strip_prefix("accounts-").and_then(|rest| rest.split('-').next());
        let position = position.and_then(|text| text.parse::<usize>().ok());
        if let (Some(of), Some(id)) = (position.and_then(|at| chosen.get_mut(at)), params.get(name)) {
            of.push(id.to_owned());
        }
    }
    chosen
}

/// What exactly is asked, with the accounts to choose from; then what the app has already and keeps.
fn details(app: &App, frame: &Frame, asked: &ConsentPage) -> Vec<DetailItem> {
    let declared = app.service.declared();
    let types = declared.catalogue.detail_types();
    let ConsentPage { ask, accounts, .. } = asked;
    let new = ask.details().iter().enumerate().filter_map(|(position, item)| {
        let shown = DetailItem::new(frame, types.get(item.detail.kind())?, &item.detail, accounts);
        let shown = if item.new { shown.choosing(position, &item.detail, accounts) } else { shown };
        Some(DetailItem { new: item.new, ..shown })
    });
    let standing = ask
        .standing_details()
        .iter()
        .filter_map(|detail| Some(DetailItem::new(frame, types.get(detail.kind())?, detail, accounts)));
    new.chain(standing).collect()
}

fn is(item: &ConsentItem, scope: &str) -> bool {
    item.definition.name.as_str() == scope
}

fn lifetime(app: &App, client: &Client) -> Option<TimeDelta> {
    match (client.consent_lifetime(), app.service.policies().consent_lifetime) {
        (Some(client), Some(server)) => Some(client.min(server)),
        (client, server) => client.or(server),
    }
}

pub(super) fn card(app: &App, client: &Client) -> ClientCard {
    let link = |text: &Option<String>| text.as_deref().and_then(WebLink::parse);
    ClientCard {
        name: client.name.clone(),
        homepage: link(&client.links.home),
        policy: link(&client.links.policy),
        terms: link(&client.links.terms),
        document_host: app.service.document_host(client),
    }
}

/// Where the browser goes after the decision, for people: host and port, or the scheme of an app.
fn return_host(uri: &str) -> String {
    let Ok(url) = Url::parse(uri) else { return uri.to_owned() };
    match (url.host_str(), url.port()) {
        (Some(host), Some(port)) => format!("{host}:{port}"),
        (Some(host), None) => host.to_owned(),
        (None, _) => format!("{}:", url.scheme()),
    }
}

/// The lines about one resource server; the person's own data are shown apart.
fn resource_group(group: &ConsentGroup, language: &str) -> Option<ResourceGroup> {
    let audience = group.audience.as_ref()?;
    let line = |item: &ConsentItem| {
        let (title, description) = item.definition.text(&[language]);
        Line {
            title: title.to_owned(),
            description: description.to_owned(),
            details: Vec::new(),
            sensitivity: match (item.definition.sensitive, item.definition.second_factor_required) {
                (_, true) => Sensitivity::Critical,
                (true, false) => Sensitivity::Sensitive,
                (false, false) => Sensitivity::Ordinary,
            },
            new: item.new,
        }
    };
    Some(ResourceGroup {
        name: group.name.clone().unwrap_or_else(|| audience.clone()),
        items: group.items.iter().map(line).collect(),
    })
}

/// What the app will know about the person: the claims of each scope, with the person's own values
/// as the app would receive them.
fn personal(ask: &ConsentAsk, claims: &StandardClaims) -> Vec<PersonalData> {
    let document = serde_json::to_value(claims).unwrap_or_default();
    let items = ask.groups().iter().filter(|group| group.audience.is_none()).flat_map(|group| &group.items);
    items
        .filter_map(|item| {
            let kind = personal_kind(item.definition.name.as_str())?;
            let names = claims_of_entry(item.definition.name.as_str());
            let values =
                names.iter().filter_map(|name| Some(((*name).to_owned(), shown(document.get(*name)?)?)));
            Some(PersonalData { kind, values: values.collect(), new: item.new })
        })
        .collect()
}

/// The group of personal data that a scope of OpenID Connect stands for.
pub(super) fn personal_kind(scope: &str) -> Option<PersonalKind> {
    match scope {
        "openid" => Some(PersonalKind::Identifier),
        "profile" => Some(PersonalKind::Profile),
        "email" => Some(PersonalKind::Email),
        "phone" => Some(PersonalKind::Phone),
        "address" => Some(PersonalKind::Address),
        entry => claim_of_entry(entry).map(PersonalKind::Claim),
    }
}

/// A claim's value for people. Flags and times say nothing to them.
fn shown(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Object(address) => {
            let formatted = address.get("formatted").and_then(Value::as_str).map(str::to_owned);
            let parts = || address.values().filter_map(Value::as_str).collect::<Vec<_>>().join(", ");
            Some(formatted.unwrap_or_else(parts))
        }
        _ => None,
    }
}
