//! The scopes of OpenID Connect (Core §5.4, §11), which every bank has. They are about the person,
//! so no resource server and no role stands behind them, and what each releases is fixed by the
//! standard (OC-17).

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

use protocol::ScopeToken;

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

static DEFINITIONS: LazyLock<Vec<ScopeDefinition>> = LazyLock::new(|| {
    let define = |[name, title, description, zh_title, zh_description]: [&str; 5]| ScopeDefinition {
        name: name.parse::<ScopeToken>().expect("the names of OpenID Connect's scopes are scope tokens"),
        title: title.to_owned(),
        description: description.to_owned(),
        audience: None,
        roles: BTreeSet::new(),
        sensitive: false,
        second_factor_required: false,
        max_lifetime: None,
        translations: BTreeMap::from([(
            "zh-Hant".to_owned(),
            ScopeText { title: zh_title.to_owned(), description: zh_description.to_owned() },
        )]),
    };
    TEXTS.into_iter().map(define).collect()
});

/// The six scopes: `openid profile email address phone offline_access`.
pub fn definitions() -> &'static [ScopeDefinition] {
    &DEFINITIONS
}

/// One of the six, by name.
pub fn definition(name: &str) -> Option<&'static ScopeDefinition> {
    DEFINITIONS.iter().find(|scope| scope.name.as_str() == name)
}
