### 登入、第二道驗證、設定驗證器、復原碼。

## 登入

sign-in-title = 登入
sign-in-continue = 以繼續使用 { $client }
sign-in-account = 以查看您的安全設定與已連結的應用程式
sign-in-submit = 登入
sign-in-notice-again = 為了您的安全，請再登入一次。
sign-in-notice-session-ended = 您的登入工作階段已結束，因此已將您登出。
sign-in-error-rejected = 使用者名稱與密碼不符，請再試一次。

## 驗證碼

factor-title = 輸入驗證碼
factor-lede = 請開啟您的驗證器應用程式，輸入其中顯示的 { $bank } 驗證碼（帳戶 { $username }）。
factor-submit = 繼續
factor-recovery-summary = 我無法使用驗證器應用程式
factor-recovery-lede = 請輸入您設定驗證器時保存的其中一組復原碼。每組只能使用一次。
factor-recovery-submit = 使用復原碼
factor-error-wrong = 驗證碼不正確。驗證碼每 30 秒更新一次，請輸入目前顯示的驗證碼。
factor-error-used = 這組驗證碼已使用過，請等候下一組。
factor-error-recovery = 復原碼不正確，或已經使用過。

## 設定驗證器

enrol-title = 設定兩步驟登入
enrol-title-replace = 設定新的驗證器應用程式
enrol-lede = { $bank } 以第二道步驟保護您的帳戶：手機應用程式產生的驗證碼。只需設定一次，約兩分鐘即可完成。
enrol-lede-replace = 在您完成設定之前，目前的驗證器仍可繼續使用。
enrol-app-title = 準備驗證器應用程式
enrol-app-note = 任何可產生一次性驗證碼的應用程式皆可，例如手機內建的密碼管理功能。若尚未安裝，請至應用程式商店下載。
enrol-scan-title = 將您的帳戶加入應用程式
enrol-scan-note = 在應用程式中選擇「新增帳戶」，然後掃描此圖。
enrol-qr-alt = 將 { $bank } 的帳戶 { $account } 加入驗證器應用程式的 QR 碼。旁邊以文字列出相同的金鑰。
enrol-open-app = 正在使用這支手機？開啟驗證器應用程式
enrol-manual-note = 若無法掃描，請手動輸入：
enrol-manual-account = 帳戶
enrol-manual-key = 金鑰
enrol-manual-type = 類型
enrol-manual-type-value = 依時間產生，6 位數
enrol-confirm-title = 輸入應用程式目前顯示的驗證碼
enrol-submit = 啟用兩步驟登入
enrol-back = 暫時不要
enrol-error-wrong = 驗證碼不正確。請確認手機已設定為自動校時，然後輸入目前顯示的驗證碼。

## 復原碼

codes-title = 保存您的復原碼
codes-lede = 若您遺失手機，可以用其中一組復原碼登入。
codes-note = 請列印、抄寫，或存放於密碼管理工具。請與手機分開保管，切勿告訴任何人，包括銀行人員。
codes-for = { $bank } · { $username } 的復原碼 · { $date }
codes-once = 每組復原碼只能使用一次，且只在此時顯示；先前的復原碼已失效。
codes-saved = 我已保存

## With a bank or an employer

sign-in-upstreams = 或透過以下機構登入
sign-in-realm-submit = 繼續
sign-in-upstream-denied = 您未在該機構完成登入。請再試一次，或在此登入。
sign-in-upstream-unavailable = 目前無法連線至該機構。請稍後再試，或在此登入。
sign-in-upstream-failed = 該機構的回覆未獲接受。請再試一次。
sign-in-upstream-not-fresh = 您需要重新登入，但該機構未要求您登入。請再試一次。
sign-in-upstream-not-linked = 您在該機構的帳戶尚未與此處的帳戶連結。請先用密碼登入，再到帳戶頁面連結。
sign-in-upstream-no-provider = 找不到與此地址對應的銀行或雇主。請在此登入。

## 選擇帳戶

select-account-title = 選擇帳戶
select-account-lede = 以繼續使用 { $client }
select-account-who = 目前登入者
select-account-since = 登入時間
select-account-continue = 以 { $name } 的身分繼續
select-account-another = 使用其他帳戶
select-account-note = 若使用其他帳戶，會先在此瀏覽器登出 { $username }。
