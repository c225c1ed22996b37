<?php
// Runs jobs of workerless: REDIS_URL=redis://localhost php worker.php worker:jobs [VISIBILITY]
// Start as many as you like: the job of one that dies is run again by another. Needs phpredis.

function make(array $job): string { // Replace this. It returns the HTML; an exception is a failure.
    usleep((int) (1e6 * ($job['inputs']['query:delay'] ?? 0)));
    if (isset($job['inputs']['query:error'])) throw new Exception($job['inputs']['query:error']);
    return '<p>result for ' . htmlspecialchars($job['name']) . '</p>';
}

function script(string $name, array $keys, ...$arguments) {
    $text = file_get_contents(__DIR__ . "/$name.lua");
    $reply = $GLOBALS['redis']->eval($text, [...$keys, ...$arguments], count($keys));
    return $reply !== false ? $reply : throw new RedisException($GLOBALS['redis']->getLastError());
}

function run(string $stream, string $entry, int $try, string $raw) {
    global $redis, $jobs, $me, $limit;
    $job = json_decode($raw, true);
    $bury = fn($why) => script('bury', [$stream, "$jobs:dead"], $entry, $raw, $why, $try - 1, $me);
    if (!isset($job['version'], $job['lease'], $job['key'], $job['id'], $job['deadline'],
        $job['fresh'], $job['keep'], $job['negative'], $job['attempts']) || $job['version'] !== 1)
        return $bury('not a job of version 1');
    $keys = [$job['lease'], $job['key']];
    $fail = fn($why) => script('fail', $keys, $job['id'], $job['negative'], 502, $why);
    if ($try > $job['attempts']) return [$fail('its workers died'), $bury('its workers died')];
    if (script('begin', $keys, $job['id'], $job['deadline'])) {
        $output = tmpfile();
        if (!($child = pcntl_fork())) try { // It makes the result; meanwhile we send heartbeats.
            exit(fwrite($output, make($job)) === false ? 1 : 0);
        } catch (Throwable $problem) {
            exit(fwrite($output, $problem->getMessage()) ? 1 : 2);
        }
        while (!pcntl_waitpid($child, $status, WNOHANG))
            pcntl_sigtimedwait([SIGCHLD], $_, intdiv($limit, 3000), $limit % 3000 * 333333) > 0 ||
                $redis->rawCommand('XCLAIM', $stream, 'workers', $me, '0', $entry, 'JUSTID');
        $made = rewind($output) ? stream_get_contents($output) : '';
        if ($status) $fail($made);
        else script('complete', $keys, $job['id'], $job['fresh'], $job['keep'], '', $made);
    }
    return $redis->multi()->xAck($stream, 'workers', [$entry])->xDel($stream, [$entry])->exec();
}

[$jobs, $limit, $me] = ["{{$argv[1]}}", $argv[2] ?? 30000, gethostname() . '-' . getmypid()];
[$redis, $streams] = [new Redis(), ["$jobs:visitors" => '>', "$jobs:refreshes" => '>']];
$url = parse_url(str_replace('unix://', 'unix:', getenv('REDIS_URL')));
pcntl_sigprocmask(SIG_BLOCK, [SIGTERM, SIGCHLD]); // They wait until we look for them.
while (pcntl_sigtimedwait([SIGTERM], $_, 0, 1) <= 0) try {
    if (!$redis->isConnected()) {
        $redis->connect(...array_filter([$url['host'] ?? $url['path'], $url['port'] ?? 0]));
        if (isset($url['pass'])) $redis->auth([$url['user'] ?: 'default', urldecode($url['pass'])]);
        if (isset($url['host'], $url['path'])) $redis->select((int) substr($url['path'], 1));
    }
    if ($taken = script('take', array_keys($streams), $me, $limit)) run(...$taken);
    else foreach ($redis->xReadGroup('workers', $me, $streams, 1, 1000) ?: [] as $stream => $new)
        foreach ($new as $entry => $fields) run($stream, $entry, 1, $fields['job'] ?? '');
} catch (RedisException $problem) {
    fwrite(STDERR, "$me: {$problem->getMessage()}\n") && sleep(1);
}
