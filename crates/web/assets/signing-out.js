// Goes on when every app has been told, or after three seconds; without scripts the visible link does the same.
"use strict";

const onward = () => location.replace(document.getElementById("continue").href);
// Deferred scripts run before the frames have loaded, at the latest before this page has.
addEventListener("load", onward, { once: true });
setTimeout(onward, 3000);
