<?php
$context = stream_context_create(['http' => [
    'header' => 'Authorization: Bearer ' . getenv('ACCESS_TOKEN'),
    'ignore_errors' => true, // a body comes with every status
]]);
$body = file_get_contents((getenv('API_URL') ?: 'http://127.0.0.1:3010') . '/api/private-scoped', false, $context);
echo explode(' ', $http_response_header[0])[1], ' ', $body, "\n";
