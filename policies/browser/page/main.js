// The page: files and fields to a request, the request to a worker, the answer to the screen.

import { element, harmless, worded } from "./element.js";
import { Evidence, ROLES } from "./evidence.js";
import { sentence, shownResult } from "./verdict.js";

// Loaded beside: the page takes files while the WebAssembly is on its way.
const verifier = import("../verifier/dist/index.js");
// Whoever presses the button is told why it failed.
const prepare = () => verifier.then((loaded) => loaded.prepare()).catch(() => {});

const MILLISECONDS = 60_000;
/** What a browser's tab bears. */
const MEMORY = 2 ** 30;

const at = (id) => document.getElementById(id);
const evidence = new Evidence();
const [files, folder, drop, table, result] = ["files", "folder", "drop", "evidence", "result"].map(at);

const announce = (text) => {
  at("announced").textContent = "";
  // A live region speaks of changes only.
  requestAnimationFrame(() => (at("announced").textContent = text));
};

async function add(given) {
  if (given.length === 0) return;
  result.hidden = true;
  at("noted").textContent = `Reading ${given.length} file${given.length === 1 ? "" : "s"}…`;
  try {
    await evidence.add(given);
    at("noted").textContent = `${evidence.files.length} file${evidence.files.length === 1 ? "" : "s"}.`;
  } catch (error) {
    at("noted").textContent = harmless(error.message);
  }
  list();
}

function list() {
  const [used, left] = [evidence.files.filter((entry) => entry.role !== "none"), evidence.with("none")];
  const order = Object.keys(ROLES);
  used.sort((one, other) => order.indexOf(one.role) - order.indexOf(other.role));
  table.hidden = used.length === 0;
  table.tBodies[0].replaceChildren(...used.map(row));
  const leftOut = at("left-out");
  leftOut.hidden = left.length === 0;
  leftOut.querySelector("summary").textContent = `Left out: ${left.length} file${left.length === 1 ? "" : "s"}`;
  // What was given alone, or all that was given, is not hidden.
  leftOut.open ||= used.length === 0 && left.length > 0;
  leftOut.querySelector("tbody").replaceChildren(...left.map(row));
}

function row(entry) {
  const number = evidence.files.indexOf(entry);
  const path = harmless(entry.path);
  const roles = element("select", { "aria-label": `${path} is taken for`, id: `role-${number}` });
  for (const [role, words] of Object.entries(ROLES)) roles.append(element("option", { value: role, selected: role === entry.role }, words));
  roles.addEventListener("change", () => {
    entry.role = roles.value;
    entry.chosen = true;
    evidence.assign();
    list();
    if (entry.role === "none") at("left-out").open = true;
    at(`role-${number}`).focus();
  });
  const remove = element("button", { type: "button", "aria-label": `Remove ${path}` }, "Remove");
  remove.addEventListener("click", () => {
    evidence.remove(entry);
    result.hidden = true;
    list();
    (at(`role-${Math.min(number, evidence.files.length - 1)}`) ?? at("choose-files")).focus();
  });
  const taken = element("td", {}, roles);
  if (entry.role === "image" && entry.image?.images.length > 1) {
    const images = element("select", { "aria-label": `Image in ${path}` });
    for (const { digest, name } of entry.image.images) images.append(element("option", { value: digest, selected: digest === entry.about }, harmless(`${name ?? ""} ${digest.slice(0, 19)}…`)));
    images.addEventListener("change", () => (entry.about = images.value));
    taken.append(" ", images);
  }
  if (entry.note) taken.append(element("div", { class: entry.isBad ? "bad" : "small" }, harmless(entry.note)));
  return element("tr", {}, element("th", { scope: "row" }, path), taken, element("td", { class: "act" }, remove));
}

/** Files of a drop, folders with all that is in them. */
async function dropped(transfer) {
  const roots = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (roots.length === 0) return [...transfer.files].map((file) => ({ file, path: file.name }));
  const found = [];
  const walk = async (entry, path) => {
    if (entry.isFile) found.push({ file: await new Promise((resolve, reject) => entry.file(resolve, reject)), path });
    else {
      const reader = entry.createReader();
      for (;;) {
        const batch = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
        if (batch.length === 0) break;
        for (const inner of batch) await walk(inner, `${path}/${inner.name}`);
      }
    }
  };
  for (const root of roots) await walk(root, root.name);
  return found;
}

async function verify() {
  const button = at("verify");
  // An answer of before must never stand beside another question.
  result.hidden = true;
  button.disabled = true;
  button.textContent = "Verifying…";
  let judged;
  let context = {};
  try {
    const chosen = at("time").value;
    const now = chosen ? Math.floor(Date.parse(`${chosen}Z`) / 1000) : Math.floor(Date.now() / 1000);
    const { request, layout, isSaved } = await evidence.request({ now, strict: at("strict").checked, digest: at("digest").value.trim() });
    context = { layout, isSaved, judgedAt: isSaved ? undefined : now };
    const { verifyWithin } = await verifier.catch(() => {
      throw new Error("The verifier cannot be loaded: verifier/dist is missing or out of reach. `npm run build` in the folder verifier makes it.");
    });
    judged = await verifyWithin(request, { milliseconds: MILLISECONDS, memory: MEMORY });
  } catch (error) {
    // Nothing was judged: what is missing is said like any other reason to refuse.
    problem(error.message);
    return;
  } finally {
    button.disabled = false;
    button.textContent = "Verify";
  }
  result.replaceChildren(...shownResult(judged, context));
  appear(sentence(judged));
  prepare();
}

function problem(message) {
  result.replaceChildren(
    element("div", { class: "banner odd" }, element("h2", { id: "outcome", tabindex: -1 }, element("span", { "aria-hidden": "true" }, "?"), "Nothing was judged"), element("p", {}, ...worded(harmless(message)))),
  );
  appear(`Nothing was judged. ${harmless(message)}`);
}

function appear(spoken) {
  result.hidden = false;
  at("outcome").focus();
  announce(spoken);
}

at("choose-files").addEventListener("click", () => files.click());
at("choose-folder").addEventListener("click", () => folder.click());
for (const input of [files, folder]) {
  input.addEventListener("change", async () => {
    const given = [...input.files].map((file) => ({ file, path: file.webkitRelativePath || file.name }));
    input.value = "";
    await add(given);
  });
}
addEventListener("dragover", (event) => {
  event.preventDefault();
  drop.classList.add("over");
});
addEventListener("dragleave", () => drop.classList.remove("over"));
addEventListener("drop", async (event) => {
  event.preventDefault();
  drop.classList.remove("over");
  await add(await dropped(event.dataTransfer));
});
at("question").addEventListener("submit", (event) => {
  event.preventDefault();
  verify();
});
at("question").addEventListener("input", () => (result.hidden = true));
prepare();
