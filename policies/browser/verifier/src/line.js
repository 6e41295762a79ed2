// Text by others, as people may be shown it: messages of an answer quote names that whoever made the evidence chose.

/** What breaks a line, moves a cursor, turns the direction of writing or has no shape; the blank pattern of Braille too. */
const UNSEEN = /[\p{Cc}\p{Cf}\p{Co}\p{Cn}\p{Cs}\p{Zl}\p{Zp}\p{Zs}\p{Default_Ignorable_Code_Point}\u2800]/u;

const SHORT = new Map([["\n", "\\n"], ["\r", "\\r"], ["\t", "\\t"]]);

/**
 * The text on one line, in which no character does anything but be seen, as `linkgate` prints it: others are escaped (`\n`,
 * `\u{202e}`). Nor does it give orders to a CI system that keeps it in a log: the first of two leading colons and the second of
 * two number signs are escaped too. The result is its own result.
 */
export function oneLine(text) {
  let line = "";
  let leading = /^ *::/.test(text);
  let before = " ";
  for (const character of `${text}`) {
    const isOrder = (leading && character === ":") || (before === "#" && character === "#");
    const isPlain = character === " " || !UNSEEN.test(character);
    line += isPlain && !isOrder ? character : SHORT.get(character) ?? `\\u{${character.codePointAt(0).toString(16)}}`;
    leading = leading && character === " ";
    before = character;
  }
  return line;
}
