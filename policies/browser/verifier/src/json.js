// JSON text, read without loss: a name that stands twice, half a surrogate pair or a rounded number is an error here, and
// `JSON.parse` lets all three pass.

/** How deep values may be nested: what the native reader takes. */
const DEPTH = 127;

const SPACE = /[ \t\n\r]*/y;
const PLAIN = /[^"\\\u0000-\u001f]*/y;
const NUMBER = /-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?/y;

/** Whether a string has no lone surrogate: only then does it have an encoding in UTF-8. */
export function isText(value) {
  return typeof value === "string" && !/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/.test(value);
}

/** Reads a text. Whole numbers become BigInt and all others NaN; objects have no prototype. Throws a SyntaxError. */
export function read(text) {
  let at = 0;

  const fail = (what) => {
    throw new SyntaxError(`${what} at character ${at + 1}`);
  };
  const skip = () => {
    SPACE.lastIndex = at;
    SPACE.test(text);
    at = SPACE.lastIndex;
  };
  const expect = (character) => {
    if (text[at] !== character) fail(`expected \`${character}\``);
    at += 1;
  };

  const string = () => {
    expect('"');
    const from = at;
    let escaped = false;
    for (;;) {
      PLAIN.lastIndex = at;
      PLAIN.test(text);
      at = PLAIN.lastIndex;
      if (text[at] === '"') break;
      if (text[at] !== "\\") fail(at < text.length ? "a control character in a string" : "the text ends within a string");
      escaped = true;
      at += 2;
    }
    const raw = text.slice(from, at);
    at += 1;
    let value = raw;
    if (escaped) {
      try {
        value = JSON.parse(`"${raw}"`);
      } catch {
        fail("an invalid escape in a string");
      }
    }
    if (!isText(value)) fail("half a surrogate pair in a string");
    return value;
  };

  const number = () => {
    NUMBER.lastIndex = at;
    const found = NUMBER.exec(text);
    if (!found) fail("expected a value");
    at = NUMBER.lastIndex;
    const [digits, fraction, exponent] = found;
    // Nothing here has a fraction: what could be rounded to a whole number is none.
    return fraction || exponent || digits === "-0" || digits.length > 20 ? NaN : BigInt(digits);
  };

  const value = (depth) => {
    if (depth > DEPTH) fail("values are nested too deep");
    skip();
    const first = text[at];
    if (first === '"') return string();
    if (first === "{") return object(depth);
    if (first === "[") return array(depth);
    for (const [word, meaning] of [["true", true], ["false", false], ["null", null]]) {
      if (text.startsWith(word, at)) {
        at += word.length;
        return meaning;
      }
    }
    return number();
  };

  const array = (depth) => {
    at += 1;
    const items = [];
    skip();
    if (text[at] === "]") {
      at += 1;
      return items;
    }
    for (;;) {
      items.push(value(depth + 1));
      skip();
      if (text[at] === "]") break;
      expect(",");
    }
    at += 1;
    return items;
  };

  const object = (depth) => {
    at += 1;
    const members = Object.create(null);
    skip();
    if (text[at] === "}") {
      at += 1;
      return members;
    }
    for (;;) {
      skip();
      const name = string();
      if (name in members) fail(`a second member \`${name.slice(0, 80)}\``);
      skip();
      expect(":");
      members[name] = value(depth + 1);
      skip();
      if (text[at] === "}") break;
      expect(",");
    }
    at += 1;
    return members;
  };

  const whole = value(0);
  skip();
  if (at < text.length) fail("more text after the value");
  return whole;
}

/** Writes a value compactly: BigInt as whole numbers, members in their order, those that are undefined left out. */
export function write(value) {
  if (typeof value === "bigint") return value.toString();
  if (Array.isArray(value)) return `[${value.map(write).join(",")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value);
  const members = Object.entries(value).filter(([, member]) => member !== undefined);
  return `{${members.map(([name, member]) => `${JSON.stringify(name)}:${write(member)}`).join(",")}}`;
}
