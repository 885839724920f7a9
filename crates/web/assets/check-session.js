// Tells a client whether the person at this browser is still the one it got its session_state for (OpenID Connect
// Session Management 1.0 §3.2). The answer goes to the window that asked, at the origin that asked, and to nobody else.
"use strict";

const cookie = document.currentScript.dataset.cookie;

/** What the server put there for this session; empty without one. */
function browserState() {
  const pairs = document.cookie.split("; ").map((pair) => [pair.split("=", 1)[0], pair]);
  const found = pairs.find(([name]) => name === cookie);
  return found ? found[1].slice(cookie.length + 1) : "";
}

async function digest(text) {
  const bytes = new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text)));
  return btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

async function answer(message, origin) {
  const words = typeof message === "string" ? message.split(" ") : [];
  const [client, state = ""] = words;
  const salt = state.split(".")[1];
  if (words.length !== 2 || !client || !salt) return "error";
  // Where the browser hides our cookies from us, "changed" would send the client round and round.
  if (document.hasStorageAccess && !(await document.hasStorageAccess())) return "error";
  const expected = `${await digest([client, origin, browserState(), salt].join(" "))}.${salt}`;
  return expected === state ? "unchanged" : "changed";
}

addEventListener("message", async (event) => {
  if (!event.source || event.source === window || event.origin === "null") return;
  const said = await answer(event.data, event.origin).catch(() => "error");
  event.source.postMessage(said, event.origin);
});
