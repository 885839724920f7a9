//! The scopes of OpenID Connect (Core §5.4, §11), which every bank has. They are about the person,
//! so no resource server and no role stands behind them, and what each releases is fixed by the
//! standard (OC-17).

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

use protocol::{ScopeToken, claims::claim_entry};

use crate::catalogue::{ScopeDefinition, ScopeText};

/// Makes a request one of OpenID Connect (Core §3.1.2.1).
pub const OPENID: &str = "openid";

/// Asks for access while the person is away (Core §11).
pub const OFFLINE_ACCESS: &str = "offline_access";

/// Name, title, description; title and description in Traditional Chinese.
const TEXTS: [[&str; 5]; 6] = [
    [
        OPENID,
        "Recognise you",
        "An identifier that lets the app recognise you when you return. It does not contain your name.",
        "識別您的身分",
        "一組識別碼,讓應用程式在您再次使用時認得您,其中不含您的姓名。",
    ],
    [
        "profile",
        "Your name and profile",
        "Your name, picture, date of birth, gender, language, time zone and web pages.",
        "您的姓名與個人資料",
        "您的姓名、相片、出生日期、性別、語言、時區與網頁。",
    ],
    [
        "email",
        "Your email address",
        "Your email address and whether we have verified it.",
        "您的電子郵件地址",
        "您的電子郵件地址,以及我們是否已驗證該地址。",
    ],
    [
        "address",
        "Your postal address",
        "The postal address that we have on record for you.",
        "您的通訊地址",
        "我們登記的您的通訊地址。",
    ],
    [
        "phone",
        "Your telephone number",
        "Your telephone number and whether we have verified it.",
        "您的電話號碼",
        "您的電話號碼,以及我們是否已驗證該號碼。",
    ],
    [
        OFFLINE_ACCESS,
        "Access while you are away",
        "The app may use this access when you are not signed in, until it expires or you withdraw it.",
        "您離線時的存取權",
        "在存取權到期或您撤回之前,應用程式可在您未登入時使用此存取權。",
    ],
];

/// Title and its Traditional Chinese, of each claim that an app may ask for by name (Core §5.5).
const CLAIM_TEXTS: [[&str; 3]; 19] = [
    ["name", "Your full name", "您的全名"],
    ["family_name", "Your family name", "您的姓氏"],
    ["given_name", "Your given name", "您的名字"],
    ["middle_name", "Your middle name", "您的中間名"],
    ["nickname", "Your nickname", "您的暱稱"],
    ["preferred_username", "The username you prefer", "您偏好的使用者名稱"],
    ["profile", "Your profile page", "您的個人資料頁面"],
    ["picture", "Your picture", "您的相片"],
    ["website", "Your web page", "您的網頁"],
    ["gender", "Your gender", "您的性別"],
    ["birthdate", "Your date of birth", "您的出生日期"],
    ["zoneinfo", "Your time zone", "您的時區"],
    ["locale", "Your language", "您的語言"],
    ["updated_at", "When your profile last changed", "您的個人資料上次變更的時間"],
    ["email", "Your email address", "您的電子郵件地址"],
    ["email_verified", "Whether we have verified your email address", "我們是否已驗證您的電子郵件地址"],
    ["address", "Your postal address", "您的通訊地址"],
    ["phone_number", "Your telephone number", "您的電話號碼"],
    ["phone_number_verified", "Whether we have verified your telephone number", "我們是否已驗證您的電話號碼"],
];

const CLAIM_DESCRIPTION: &str = "Only this single detail, as we have it on record for you.";
const ZH_CLAIM_DESCRIPTION: &str = "僅限這一項資料,內容以我們的登記為準。";

static CLAIM_DEFINITIONS: LazyLock<Vec<ScopeDefinition>> = LazyLock::new(|| {
    let define = |[claim, title, zh_title]: [&str; 3]| {
        about_the_person([&claim_entry(claim), title, CLAIM_DESCRIPTION, zh_title, ZH_CLAIM_DESCRIPTION])
    };
    CLAIM_TEXTS.into_iter().map(define).collect()
});

static DEFINITIONS: LazyLock<Vec<ScopeDefinition>> =
    LazyLock::new(|| TEXTS.into_iter().map(about_the_person).collect());

fn about_the_person([name, title, description, zh_title, zh_description]: [&str; 5]) -> ScopeDefinition {
    ScopeDefinition {
        name: name.parse::<ScopeToken>().expect("the names of OpenID Connect's scopes are scope tokens"),
        title: title.to_owned(),
        description: description.to_owned(),
        audience: None,
        roles: BTreeSet::new(),
        sensitive: false,
        second_factor_required: false,
        financial: false,
        max_lifetime: None,
        translations: BTreeMap::from([(
            "zh-Hant".to_owned(),
            ScopeText { title: zh_title.to_owned(), description: zh_description.to_owned() },
        )]),
    }
}

/// The six scopes: `openid profile email address phone offline_access`.
pub fn definitions() -> &'static [ScopeDefinition] {
    &DEFINITIONS
}

/// One of the six, by name.
pub fn definition(name: &str) -> Option<&'static ScopeDefinition> {
    DEFINITIONS.iter().find(|scope| scope.name.as_str() == name)
}

/// What a consent to a single claim says: the definition of `claim:` and its name, beside the scopes.
pub fn claim_definition(entry: &str) -> Option<&'static ScopeDefinition> {
    CLAIM_DEFINITIONS.iter().find(|claim| claim.name.as_str() == entry)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use protocol::claims::claim_names;

    use super::*;

    #[test]
    fn oc_18_every_claim_can_be_consented_to_in_both_languages() {
        assert_eq!(claim_names().count(), CLAIM_TEXTS.len());
        for claim in claim_names() {
            let definition = claim_definition(&claim_entry(claim)).unwrap();
            assert_ne!(definition.text(&["en-GB"]), definition.text(&["zh-Hant"]), "{claim}");
            assert_eq!(definition.audience, None);
        }
        assert_eq!(claim_definition("claim:roles"), None);
    }
}
