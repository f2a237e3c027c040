<?php
// An application in PHP, run by `php -S`, that the server asks and tells. Each request becomes a line of the file
// $EVENTS. It publishes to $API with $KEY when a channel has nothing to show.
$body = file_get_contents('php://input');
$asked = json_decode($body);
$path = substr(parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH), 1);
$valid = hash_equals(hash_hmac('sha256', $body, 's3cret'), $_SERVER['HTTP_X_SWITCHBOARD_SIGNATURE'] ?? '');
$line = json_encode(['path' => $path, 'asked' => $asked, 'valid' => $valid, 'cookie' => $_SERVER['HTTP_COOKIE'] ?? null]);
file_put_contents(getenv('EVENTS'), "$line\n", FILE_APPEND | LOCK_EX);

function answer(string $path, object $asked): array {
    switch ($path) {
        case 'connect':
            if (($asked->data->password ?? '') !== 'swordfish') {
                return ['disconnect' => ['code' => 4501, 'reason' => 'wrong password']];
            }
            return ['result' => ['user' => '42', 'info' => ['name' => 'Ada'], 'meta' => ['plan' => 'pro'], 'data' => ['hello' => $asked->name],
                'expire_at' => time() + ($asked->data->lives ?? 3600), 'channels' => ['room:lobby']]];
        case 'refresh':
            return ['result' => ['expire_at' => time() + 3600]];
        case 'subscribe':
            if ($asked->channel === 'room:secret') return ['error' => ['code' => 403, 'message' => 'members only']];
            return ['result' => ['data' => ['topic' => 'tea'], 'info' => ['role' => $asked->meta->plan]]];
        case 'publish':
            return ['result' => ['data' => ['by' => $asked->user, 'text' => strtoupper($asked->data->text)]]];
        case 'rpc':
            return ['result' => ['data' => ['sum' => array_sum($asked->data)]]];
        default:
            return [];
    }
}

foreach ($asked->events ?? [] as $event) {
    if ($event->name !== 'cache_miss') continue;
    $content = json_encode(['channel' => $event->channel, 'data' => ['fresh' => true]]);
    $options = ['method' => 'POST', 'header' => 'X-API-Key: ' . getenv('KEY'), 'content' => $content];
    file_get_contents(getenv('API') . '/publish', false, stream_context_create(['http' => $options]));
}
header('Content-Type: application/json');
echo json_encode((object) answer($path, $asked));
