### 同意：應用程式要求的權限。

consent-title = { $client } 要求存取權限
consent-lede = { $client } 希望代表您連結 { $bank }。請先閱讀它所要求的內容，再做決定。
consent-lede-widening = 自 { $date } 起，您已允許 { $client } 使用您在 { $bank } 的部分資料。現在它要求更多權限，新增的部分標示為「新」。
consent-document = 此應用程式自稱「{ $client }」，{ $bank } 並未查證；唯一可確定的是，它由 { $host } 營運。
consent-signed-in = 目前登入身分：{ $name }
consent-switch = 不是您？
consent-may = { $client } 可以做什麼
consent-exactly = { $client } 具體要求什麼
consent-choose-several = 哪些帳戶？
consent-choose-one = 從哪個帳戶？
consent-choose-error = 請選擇帳戶，或選擇不允許。
consent-personal = { $client } 會得知您的哪些資料
consent-new = 新
consent-sensitive = 私密
consent-critical = 代您操作

## 授權細節

detail-actions = 用途
detail-accounts = 帳戶
detail-accounts-all = 您的所有帳戶
detail-amount = 金額
detail-creditor = 收款人
detail-creditor-account = 收款帳戶
detail-debtor-account = 付款帳戶
detail-remittance = 附言
detail-action-list_accounts = 列出帳戶
detail-action-read_balances = 查看餘額
detail-action-read_transactions = 查看交易紀錄
detail-action-initiate = 發起付款
detail-action-status = 查詢付款狀態
detail-action-cancel = 取消付款

## 期限

consent-how-long = 期限
consent-until = 至 { $date }
consent-until-note = 屆時存取權限會自動終止，{ $client } 必須再次徵求您的同意。
consent-until-withdrawn = 直到您撤回為止
consent-until-withdrawn-note = 沒有截止日期，您可以隨時終止。
consent-offline = 您不在時仍保持連線
consent-offline-note = 即使您沒有使用 { $client }，它仍可使用此權限。
consent-withdraw = 您可以隨時在 { $bank } 的帳戶頁面撤回權限。您的密碼不會提供給任何應用程式。

## 決定

consent-allow = 允許
consent-deny = 不允許
consent-return = 無論如何選擇，接下來都會前往 { $host }
consent-about = 關於 { $client }
consent-policy = 隱私權政策
consent-terms = 服務條款

## 應用程式得知的個人資料

personal-identifier = 識別碼
personal-identifier-note = 讓應用程式認得是您本人的一組號碼，不含您的其他資料。
personal-profile = 您的基本資料
personal-email = 您的電子郵件地址
personal-phone = 您的電話號碼
personal-address = 您的郵寄地址

## OpenID Connect Core §5.1 的資料項目

claim-name = 姓名
claim-given_name = 名字
claim-family_name = 姓氏
claim-middle_name = 中間名
claim-nickname = 暱稱
claim-preferred_username = 使用者名稱
claim-profile = 個人頁面
claim-picture = 相片
claim-website = 網站
claim-email = 電子郵件地址
claim-email_verified = 電子郵件已確認
claim-gender = 性別
claim-birthdate = 出生日期
claim-zoneinfo = 時區
claim-locale = 語言
claim-phone_number = 電話號碼
claim-phone_number_verified = 電話號碼已確認
claim-address = 地址
claim-updated_at = 最後變更
