// Judges in-toto supply chains. Nothing here throws: whatever goes wrong is an undecided answer.

import { malformed, reason, stopped } from "./answer.js";
import { within } from "./deadline.js";
import { ask } from "./instance.js";
import { question } from "./question.js";

/** Judges a request, at once. Refuse unless `outcome` is `accept`. */
export function verify(request, options) {
  return asked("verify", request, options);
}

/** Says what a `verify` of this request will need, once its layout is trusted. */
export function plan(request, options) {
  return asked("plan", request, options);
}

/** Judges a request in a worker, which is stopped at the deadline. The promise is never rejected. */
export async function verifyWithin(request, options) {
  try {
    const { milliseconds, memory, check } = given(options);
    if (check !== undefined) return stopped("`check` cannot be handed to a worker: use `verify`, or leave it out");
    return await within(request, { __proto__: null, milliseconds, memory });
  } catch (error) {
    return stopped(reason(error));
  }
}

export { prepare } from "./deadline.js";
export { oneLine } from "./line.js";

/** Options that the object has itself: what stands on a prototype was written there by who knows whom. */
function given(options) {
  return { __proto__: null, ...options };
}

function asked(name, request, options) {
  let converted;
  let bounds;
  try {
    const { check, memory } = given(options);
    if (check !== undefined && check !== null && typeof check !== "function") return stopped("`check` must be a function");
    bounds = { check, memory };
  } catch (error) {
    return stopped(`the options cannot be read: ${reason(error)}`);
  }
  try {
    converted = question(request);
  } catch (error) {
    return malformed(reason(error));
  }
  try {
    return ask(name, converted, bounds);
  } catch (error) {
    return stopped(reason(error));
  }
}
