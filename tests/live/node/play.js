// Play stories one after the other, those whose names are arguments or all, and print `ok NAME` or `not ok NAME: why` for each.
'use strict';

module.exports = async (stories) => {
  const wanted = process.argv.slice(2);
  for (const [name, story] of Object.entries(stories)) {
    if (wanted.length && !wanted.includes(name)) continue;
    try {
      await story();
      console.log(`ok ${name}`);
    } catch (error) {
      console.log(`not ok ${name}: ${String(error.stack || error).replace(/\n/g, ' | ')}`);
    }
  }
  process.exit(0);
};
