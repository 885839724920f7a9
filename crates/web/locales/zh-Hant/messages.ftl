### 登出、錯誤、返回應用程式。

## 登出

sign-out-title = 要登出嗎？
sign-out-lede = 您目前以 { $username } 的身分登入 { $bank }。
sign-out-asked = { $client } 要求將您從 { $bank } 登出；您目前的登入身分是 { $username }。
sign-out-note = 您已連結的應用程式仍保有您所給予的權限。
sign-out-submit = 登出
sign-out-stay = 保持登入
signing-out-title = 正在登出
signing-out-lede = 您在 { $bank } 的工作階段已結束，正在通知您以此登入的應用程式。
signing-out-continue = 繼續
signing-out-frame = 應用程式的登出
signed-out-title = 您已登出
signed-out-lede = 您在 { $bank } 的工作階段已結束。
signed-out-note = 若使用共用電腦，請一併關閉瀏覽器。
signed-out-sign-in = 重新登入

## 錯誤

problem-request-title = 此連結無法使用
problem-request-message = 將您帶到這裡的應用程式發出了錯誤的請求，因此我們已停止處理，沒有提供任何資料。請通知該應用程式的客服。
problem-expired-title = 此頁面已過期
problem-expired-message = 頁面開啟過久、已在其他分頁完成，或是在不同的瀏覽器中開啟。請返回應用程式重新開始。
problem-attempts-title = 嘗試次數過多
problem-attempts-message = 為了保護您的帳戶，我們已暫停登入。請等候 { $wait } 後再試一次。
problem-not-allowed-title = 您無法給予此權限
problem-not-allowed-message = 該應用程式要求的內容超出您在本行帳戶的權限。沒有提供任何資料。
problem-not-found-title = 這裡沒有內容
problem-not-found-message = 網址可能輸入錯誤，或頁面已不存在。
problem-internal-title = 系統發生問題
problem-internal-message = 請稍後再試一次；若問題持續發生，請提供下方的參考編號。
problem-unavailable-title = 服務暫時無法使用
problem-unavailable-message = 服務忙碌中或正在維護，請於幾分鐘後再試一次。
problem-start-again = 請返回 { $client } 重新開始。
problem-detail = 供應用程式開發人員參考
problem-reference = 參考編號

## 以表單返回應用程式

form-post-title = 正在返回 { $client }
form-post-lede = 正在將您帶回 { $client }。若沒有反應，請按下按鈕。
form-post-continue = 繼續

## 裝置

device-code-title = 連結裝置
device-code-lede = 請輸入裝置上顯示的代碼。
device-code-label = 代碼
device-code-submit = 繼續
device-code-wrong = 沒有裝置在等候這個代碼。請與裝置上的代碼比對，或在裝置上重新開始。
device-confirm-title = 這是您的裝置嗎？
device-confirm-lede = { $client } 要求從一台顯示下列代碼的裝置存取您在 { $bank } 的帳戶：
device-confirm-warning = 只有在您自己開始這項操作，並且此刻在自己的裝置上看到相同代碼時，才請繼續。如果代碼是別人傳給您或念給您聽的，請停止：對方想取得您的存取權。{ $bank } 絕不會向您索取這種代碼。
device-confirm-submit = 代碼相同
device-confirm-other = 不是我的裝置
device-done-title = 完成
device-done-lede = 您已允許 { $client }。請回到裝置繼續。
device-denied-title = 未給予任何權限
device-denied-lede = { $client } 不會取得存取權。您可以關閉此頁面。
