<?php
use MessagesClient\Api\MessagesApi;
use MessagesClient\ApiException;
use MessagesClient\Configuration;

$configuration = (new Configuration())->setHost(getenv('API_URL') ?: 'http://127.0.0.1:3010');
if (getenv('ACCESS_TOKEN')) {
    $configuration->setAccessToken(getenv('ACCESS_TOKEN'));
}
try {
    echo (new MessagesApi(null, $configuration))->privateScoped()->getMessage(), "\n";
} catch (ApiException $error) {
    echo $error->getCode(), ' ', $error->getResponseObject()->getCode(), "\n";
}
