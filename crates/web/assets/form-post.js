// Sends the authorization response on its way; without scripts the visible button does the same.
// Called on the prototype, because a response parameter could be named "submit".
HTMLFormElement.prototype.submit.call(document.getElementById("form-post"));
