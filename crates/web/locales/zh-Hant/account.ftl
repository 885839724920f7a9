### 帳戶頁面。

account-title = 您的帳戶
account-lede = 目前登入身分：{ $name }
account-sign-out = 登出

## 已連結的應用程式

account-apps = 已連結的應用程式
account-apps-none = 目前沒有應用程式可以存取您的帳戶或資料。
account-apps-note = 這些應用程式可以使用您在 { $bank } 的資料。撤回權限會立即生效。
account-app-since = 自 { $date } 起
account-app-until = 至 { $date }
account-app-until-withdrawn = 直到您撤回為止
account-withdraw = 撤回權限

## 工作階段

account-sessions = 您的登入裝置
account-session-current = 此裝置
account-session-address = 位址 { $address }
account-session-since = 登入時間：{ $date }
account-session-seen = 最近使用：{ $date }
account-session-end = 結束工作階段

## 兩步驟登入

account-factor = 兩步驟登入
account-factor-off = 您的帳戶目前只有密碼保護。加上手機應用程式的驗證碼會安全得多。
account-factor-on = 已於 { $date } 設定驗證器應用程式。
account-codes-left = { $count ->
    [0] 您已沒有可用的復原碼。
   *[other] 您還有 { $count } 組復原碼。
}
account-factor-enrol = 設定
account-factor-replace = 更換驗證器
account-factor-codes = 重新產生復原碼

## 密碼

account-password = 變更密碼
account-password-note = 幾個不相關的詞組合起來，比又短又複雜的密碼更好記，也更難猜。變更後，其他工作階段會結束。
account-password-submit = 變更密碼
account-error-password-wrong = 目前的密碼不正確。
account-error-password-weak = 新密碼太容易被猜到，請另選一組。
account-error-password-length = 新密碼的長度必須介於 { $min } 至 { $max } 個字元之間。

## 剛完成的動作

account-notice-password = 密碼已變更，其他工作階段也已結束。
account-notice-second-factor = 已啟用兩步驟登入。
account-notice-codes = 已產生新的復原碼，先前的復原碼已失效。
account-notice-session = 工作階段已結束。
account-notice-withdrawn = 已撤回權限，該應用程式無法再使用。

## Signing in with a bank or an employer

account-upstreams = 透過其他銀行或雇主登入
account-upstreams-note = 能登入已連結帳戶的人，也能登入此處。
account-upstream-since = 自 { $date } 起連結
account-upstream-link = 連結
account-upstream-unlink = 取消連結
account-notice-linked = 已連結您在該機構的帳戶，您可以用它登入。
account-notice-unlinked = 該帳戶已取消連結。
account-notice-link-taken = 未進行連結：該帳戶已屬於此處的其他人，或您已連結該機構的另一個帳戶。
account-notice-link-failed = 未進行連結。請再試一次。
account-notice-only-way = 您在此沒有密碼，這是您唯一的登入方式，因此未作變更。
