// Prints the settings of a policy: a layout, its owners' keys and the links of a folder, as Kubewarden takes them.
//
//   node settings.mjs --name web --images 'registry.example/web/**' --subject image \
//       --layout root.layout --keys owner.json --links links
//
// `owner.json` is what `linkgate key show --json owner.pub` prints.
import { readFileSync, readdirSync } from 'node:fs';
import { join, sep } from 'node:path';
import { parseArgs } from 'node:util';

const several = { type: 'string', multiple: true };
const { values } = parseArgs({
  options: {
    name: { type: 'string' },
    images: several,
    subject: several,
    layout: { type: 'string' },
    keys: several,
    links: { type: 'string' },
  },
});
const missing = ['name', 'images', 'layout', 'keys', 'links'].filter((name) => values[name] === undefined);
if (missing.length > 0) {
  console.error(`settings.mjs: --${missing[0]} is missing`);
  process.exit(2);
}

/** Text as it is: what is no UTF-8 is no metadata either. */
const read = (file) => new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(readFileSync(file));

try {
  const links = readdirSync(values.links, { recursive: true })
    .filter((name) => name.endsWith('.link'))
    .sort()
    .map((name) => [name.replaceAll(sep, '/'), read(join(values.links, name))]);
  const policy = {
    name: values.name,
    images: values.images,
    subject: values.subject,
    keys: Object.fromEntries(values.keys.flatMap((file) => Object.entries(JSON.parse(read(file))))),
    layout: read(values.layout),
    links: Object.fromEntries(links),
  };
  console.log(JSON.stringify({ policies: [policy] }, null, 2));
} catch (error) {
  console.error(`settings.mjs: ${error.message}`);
  process.exitCode = 1;
}
