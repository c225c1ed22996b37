// Runs jobs of workerless: REDIS_URL=redis://localhost node worker.js worker:jobs [VISIBILITY]
// Start as many as you like: the job of one that dies is run again by another. Needs npm's redis.
const { readFileSync } = require('node:fs');
const { hostname } = require('node:os');
const { setTimeout: sleep } = require('node:timers/promises');
const { createClient } = require('redis');

async function make(job) { // Replace this. It resolves to the HTML, or rejects if it has failed.
  await sleep(1000 * (job.inputs['query:delay'] ?? 0)); // Don't block: heartbeats go out meanwhile.
  if (job.inputs['query:error']) throw new Error(job.inputs['query:error']);
  return `<p>result for ${job.name.replace(/[&<>"']/g, (text) => `&#${text.charCodeAt(0)};`)}</p>`;
}

const [jobs, visibility = 30000] = process.argv.slice(2), me = `${hostname()}-${process.pid}`;
const [visitors, refreshes, dead] =
  ['visitors', 'refreshes', 'dead'].map((end) => `{${jobs}}:${end}`);
const url = process.env.REDIS_URL;
const db = createClient(/^unix:/.test(url) ? { socket: { path: new URL(url).pathname } } : { url });
const [take, begin, complete, fail, bury] = ['take', 'begin', 'complete', 'fail', 'bury']
  .map((name) => readFileSync(`${__dirname}/${name}.lua`, 'utf8'))
  .map((text) => (keys, ...args) => db.eval(text, { keys, arguments: args.map(String) }));

async function run(stream, entry, tries, text) { // It also removes the job from its stream.
  let job;
  try { job = JSON.parse(text); } catch { /* it is buried */ }
  const { version, lease, key, id, deadline, fresh, keep, negative, attempts } = job ?? {};
  const giveUp = (why) => bury([stream, dead], entry, text, why, tries - 1, me);
  const failed = (why) => fail([lease, key], id, negative, 502, why);
  if (version !== 1 || !(lease && key && id) ||
      ![deadline, fresh, keep, negative, attempts].every(Number.isFinite))
    return giveUp('not a job of version 1');
  if (tries > attempts)
    return failed('its workers died').then(() => giveUp('its workers died'));
  if (await begin([lease, key], id, deadline)) { // Somebody still wants the result.
    const beat = () => db.xClaimJustId(stream, 'workers', me, 0, entry).catch(console.error);
    const beats = setInterval(beat, visibility / 3);
    const [html, why] = await make(job).then((html) => [html], (error) => [null, String(error)]);
    clearInterval(beats);
    await (why === undefined ? complete([lease, key], id, fresh, keep, '', html) : failed(why));
  }
  return db.multi().xAck(stream, 'workers', entry).xDel(stream, entry).exec();
}

(async (stopping = false) => {
  process.on('SIGTERM', () => { stopping = true; });
  await db.on('error', (error) => console.error(String(error))).connect();
  const streams = [visitors, refreshes].map((key) => ({ key, id: '>' }));
  while (!stopping) try {
    const taken = await take([visitors, refreshes], me, visibility);
    if (taken.length) { await run(...taken); continue; }
    const found = await db.xReadGroup('workers', me, streams, { COUNT: 1, BLOCK: 1000 });
    for (const { name, messages } of found ?? [])
      await run(name, messages[0].id, 1, messages[0].message.job ?? '');
  } catch (error) {
    console.error(String(error));
    await sleep(1000);
  }
  await db.quit();
})();
