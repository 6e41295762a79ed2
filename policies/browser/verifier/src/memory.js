// The bound of the component's memory. The module declares the most that any request takes, and a host in JavaScript cannot
// limit a memory that a module makes for itself: so a lower bound is written into the module.

export const PAGE = 65_536;

/** A core module's bytes with the most pages that its memory may have. Throws where it is no module with one memory. */
export function bounded(module, pages) {
  let at = 8;
  const number = () => {
    let value = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      if (at >= module.length) throw new Error("the module's file ends early");
      const byte = module[at++];
      value += (byte & 127) * 2 ** shift;
      if (byte < 128) return value;
    }
    throw new Error("the module's file has a number that is too long");
  };
  if (String.fromCharCode(...module.subarray(0, 4)) !== "\0asm") throw new Error("the file is no WebAssembly module");
  while (at < module.length) {
    const begin = at;
    const section = module[at++];
    const length = number();
    const end = at + length;
    if (end > module.length) throw new Error("the module's file ends early");
    if (section === 5) {
      const memories = number();
      const flags = number();
      const least = number();
      if (memories !== 1 || flags > 1) throw new Error("the module has another memory than the verifier's");
      const most = flags === 1 ? Math.min(number(), pages) : pages;
      if (least > most) throw new Error(`its memory begins with ${least * PAGE} bytes, and may have ${most * PAGE}`);
      const body = [1, 1, ...encoded(least), ...encoded(most)];
      const made = [5, ...encoded(body.length), ...body];
      const whole = new Uint8Array(begin + made.length + module.length - end);
      whole.set(module.subarray(0, begin));
      whole.set(made, begin);
      whole.set(module.subarray(end), begin + made.length);
      return whole;
    }
    at = end;
  }
  throw new Error("the module has no memory");
}

function encoded(value) {
  const bytes = [];
  do {
    bytes.push((value % 128) | (value >= 128 ? 128 : 0));
    value = Math.floor(value / 128);
  } while (value > 0);
  return bytes;
}
