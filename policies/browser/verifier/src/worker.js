// A worker that judges what it is sent, one question after another.

import { malformed, reason, stopped } from "./answer.js";
import { ask } from "./instance.js";
import { question } from "./question.js";

const port = globalThis.process?.versions?.node ? (await import("node:worker_threads")).parentPort : globalThis;

const answer = ({ question: given, memory }) => {
  let converted = given;
  try {
    if (typeof given === "string") converted = question(given);
  } catch (error) {
    return malformed(reason(error));
  }
  try {
    return ask("verify", converted, { memory });
  } catch (error) {
    return stopped(reason(error));
  }
};

if (port === globalThis) globalThis.onmessage = ({ data }) => port.postMessage(answer(data));
else port.on("message", (data) => port.postMessage(answer(data)));
port.postMessage("ready");
