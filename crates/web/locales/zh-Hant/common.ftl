### 各頁共用的文字。每種語言都有相同的檔案、訊息代號與變數。

footer-caution = 您目前位於 { $host }。{ $bank } 絕不會透過電話、電子郵件或訊息向您索取密碼或驗證碼。
cancel-back = 取消並返回 { $client }
back-to-client = 返回 { $client }
new-tab = （在新分頁開啟）

## 欄位名稱

field-username = 使用者名稱
field-password = 密碼
field-realm = 您在銀行或雇主的電子郵件地址
field-otp = 6 位數驗證碼
field-recovery-code = 復原碼
field-current-password = 目前的密碼
field-new-password = 新密碼
otp-format = 六位數字

## 等候時間；其他訊息中的 $wait 即為其中之一

wait-seconds = { $count } 秒
wait-minutes = { $count } 分鐘
error-wait = 嘗試次數過多。請等候 { $wait } 後再試一次。
