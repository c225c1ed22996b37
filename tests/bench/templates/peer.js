// peer.js TEMPLATE PARTIAL JSON SECONDS: the processor time of mustache.js, as rendering.c says it.
"use strict";

const fs = require("fs");
const mustache = require("mustache");

const [template, partial, json] = process.argv.slice(2, 5).map((path) => fs.readFileSync(path, "utf8"));
const seconds = Number(process.argv[5]);
const partials = { review: partial };

function measure(once) {
    const begin = process.cpuUsage();
    let count = 0, used;
    do {
        for (let i = 0; i < 100; i++)
            once();
        count += 100;
        const spent = process.cpuUsage(begin);
        used = spent.user + spent.system; // microseconds
    } while (used < seconds * 1e6);
    return used * 1000 / count;
}

const data = JSON.parse(json);
process.stderr.write(mustache.render(template, data, partials)); // which keeps the parsed template
measure(() => mustache.render(template, JSON.parse(json), partials)); // the compiler warms up
console.log(JSON.stringify({
    both: measure(() => mustache.render(template, JSON.parse(json), partials)),
    render: measure(() => mustache.render(template, data, partials)),
}));
