<?php
// The moon as it looks now, to within a day.
const MONTH = 29.530588853; // days from one new moon to the next
const NEW_MOON = 947182440; // that of 2000-01-06
const NAMES = ['New moon', 'Waxing crescent', 'First quarter', 'Waxing gibbous',
               'Full moon', 'Waning gibbous', 'Last quarter', 'Waning crescent'];

usleep(random_int(500_000, 2_500_000)); // so that there is something to wait for

$age = fmod((time() - NEW_MOON) / 86400, MONTH);
$phase = $age / MONTH; // 0 and 1: new, 1/2: full
$lit = round((1 - cos(2 * M_PI * $phase)) / 2 * 100);
$name = NAMES[(int) round($phase * 8) % 8];
$next = (int) round(fmod(1.5 - $phase, 1) * MONTH);

// Half a circle on the lit side, and half an ellipse where the shadow begins.
$width = abs(round(30 * cos(2 * M_PI * $phase), 1));
$side = $phase < 0.5 ? 1 : 0;
$back = ($phase < 0.25 || $phase >= 0.5 && $phase < 0.75) ? 0 : 1;
$path = "M32 2A30 30 0 0 $side 32 62A$width 30 0 0 $back 32 2Z";
?>
<div class="moon">
  <svg viewBox="0 0 64 64" width="64" height="64" aria-hidden="true">
    <circle class="shadow" cx="32" cy="32" r="30"/>
    <path class="light" d="<?= $path ?>"/>
  </svg>
  <p><strong><?= $name ?></strong>, <?= $lit ?> % lit.<br>
    <?= $next === 0 ? 'It is full now.' : "Full in $next day" . ($next > 1 ? 's' : '') . '.' ?></p>
</div>
<p class="by">Made by PHP <?= PHP_VERSION ?> in php-fpm, process <?= getmypid() ?></p>
