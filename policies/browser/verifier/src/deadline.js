// Deadlines: the question goes to a worker, and a worker that is late is ended. One that answered waits for the next.

import { malformed, reason, stopped } from "./answer.js";
import { question as converted } from "./question.js";

/** The costliest request that the verifier's own limits admit takes less. */
const MILLISECONDS = 60_000;

/** How long a worker may take to load the verifier. */
const START = 60_000;

/** What timers can count. */
const LONGEST = 2 ** 31 - 1;

/** Workers that wait: a second one would only help whoever asks two questions at once. */
const IDLE = 1;
const idle = [];

/** Starts a worker for the next question ahead of time; true once it is ready. */
export async function prepare() {
  if (idle.length > 0) return true;
  const [worker] = await ready();
  if (worker) keep(worker);
  return worker !== undefined;
}

/** The answer of a worker, or undecided at the deadline, which begins when the worker is ready. */
export async function within(request, { milliseconds = MILLISECONDS, memory }) {
  if (typeof milliseconds !== "number" || !(milliseconds >= 0)) return stopped("`milliseconds` must be a number, 0 or more");
  let question = request;
  if (typeof request !== "string") {
    // Read here, and before anything is waited for: a worker gets copies, and getters, proxies and functions have none.
    try {
      question = converted(request);
    } catch (error) {
      return malformed(reason(error));
    }
  }
  const waiting = idle.pop();
  const [worker, why] = waiting ? [waiting, undefined] : await ready();
  if (!worker) return why;
  worker.hold();
  let judged;
  try {
    judged = await answerOf(worker, { question, memory }, Math.min(milliseconds, LONGEST), milliseconds);
    return judged;
  } catch (error) {
    return stopped(reason(error));
  } finally {
    // Only one that gave an answer of its own, and did not trap, is asked again.
    if (!judged || (judged.outcome === "undecided" && judged.answer.code === "verifier-stopped")) worker.terminate();
    else keep(worker);
  }
}

/** A worker that has loaded the verifier, or why there is none. One that is late is kept for the next question. */
async function ready() {
  let worker;
  try {
    worker = await start();
  } catch (error) {
    return [undefined, stopped(reason(error))];
  }
  return new Promise((resolve) => {
    // It is not ended while it loads its modules, which not every engine survives.
    const late = setTimeout(() => {
      worker.release();
      worker.listen((said) => said === "ready" && keep(worker));
      resolve([undefined, stopped(`its worker was not ready within ${START} ms`)]);
    }, START);
    worker.listen((said) => {
      clearTimeout(late);
      resolve(said === "ready" ? [worker, undefined] : [undefined, said]);
    });
  });
}

function keep(worker) {
  if (idle.length >= IDLE) return worker.terminate();
  worker.release();
  idle.push(worker);
}

/** What a worker says to a message, or undecided when the time is over. */
function answerOf(worker, message, left, milliseconds) {
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve(stopped(`it took longer than ${milliseconds} ms`)), left);
    worker.listen((said) => {
      clearTimeout(timer);
      resolve(said);
    });
    worker.post(message);
  });
}

async function start() {
  const url = new URL("./worker.js", import.meta.url);
  return globalThis.process?.versions?.node ? await inNode(url) : inBrowser(url);
}

async function inNode(url) {
  const { Worker } = await import("node:worker_threads");
  const worker = new Worker(url, { __proto__: null, stdin: false });
  let listener;
  const say = (said) => {
    const last = listener;
    listener = undefined;
    last?.(said);
  };
  const gone = (why) => {
    forget(own);
    say(stopped(why));
  };
  const own = {
    listen: (next) => (listener = next),
    post: (message) => worker.postMessage(message),
    terminate: () => void worker.terminate(),
    // A waiting worker keeps no process alive.
    release: () => worker.unref(),
    hold: () => worker.ref(),
  };
  worker.on("message", say);
  worker.on("error", (error) => gone(reason(error)));
  worker.on("exit", () => gone("its worker ended"));
  return own;
}

function inBrowser(url) {
  const worker = new Worker(url, { __proto__: null, type: "module" });
  let listener;
  const say = (said) => {
    const last = listener;
    listener = undefined;
    last?.(said);
  };
  const own = {
    listen: (next) => (listener = next),
    post: (message) => worker.postMessage(message),
    terminate: () => worker.terminate(),
    release: () => {},
    hold: () => {},
  };
  worker.onmessage = ({ data }) => say(data);
  worker.onerror = (event) => {
    event.preventDefault();
    forget(own);
    worker.terminate();
    say(stopped(`its worker failed: ${event.message || "it could not be loaded"}`));
  };
  return own;
}

function forget(worker) {
  const at = idle.indexOf(worker);
  if (at >= 0) idle.splice(at, 1);
}
