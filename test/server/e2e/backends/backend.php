<?php
// A backend in PHP, with nothing but what Debian's php-cli has. Arguments: the URL of the API, its key, and what to do.
[, $url, $key, $action] = $argv;

function call(string $method, array $params): mixed {
    global $url, $key;
    $context = stream_context_create(['http' => [
        'method' => 'POST',
        'header' => "Content-Type: application/json\r\nX-API-Key: $key",
        'content' => json_encode((object) $params),
        'ignore_errors' => true,
    ]]);
    return json_decode(file_get_contents("$url/$method", false, $context));
}

function base64url(string $bytes): string {
    return rtrim(strtr(base64_encode($bytes), '+/', '-_'), '=');
}

function token(string $user, string $secret): string {
    $signed = base64url(json_encode(['typ' => 'JWT', 'alg' => 'HS256'])) . '.' .
        base64url(json_encode(['sub' => $user, 'exp' => time() + 3600, 'info' => ['name' => 'Ada']]));
    return $signed . '.' . base64url(hash_hmac('sha256', $signed, $secret, true));
}

$answers = match ($action) {
    'token' => token('42', $argv[4]),
    'publish' => [
        call('publish', ['channel' => 'news', 'data' => ['text' => 'Grüße 😀', 'big' => 9007199254740993]]),
        call('publish', ['channel' => 'news', 'data' => 'once', 'idempotency_key' => 'k']),
        call('publish', ['channel' => 'news', 'data' => 'once', 'idempotency_key' => 'k']),
        call('broadcast', ['channels' => ['news', 'talks', 'unknown:x'], 'data' => ['to' => 'all']]),
        call('batch', ['commands' => [
            ['publish' => ['channel' => 'talks', 'data' => 1]],
            ['publish' => ['channel' => 'talks', 'data' => 2]],
            ['presence_stats' => ['channel' => 'news']],
        ]]),
    ],
    'read' => [
        call('presence', ['channel' => 'news']),
        call('presence_stats', ['channel' => 'news']),
        call('history', ['channel' => 'news', 'limit' => -1]),
        call('info', []),
    ],
    'disconnect' => call('disconnect', ['user' => '42', 'disconnect' => ['code' => 4500, 'reason' => 'banned']]),
    'wrong' => [call('publish', ['channel' => 'news']), call('publish', ['channel' => 'unknown:x', 'data' => 1])],
};
echo json_encode($answers);
