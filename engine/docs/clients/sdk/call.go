package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"

	messagesclient "example.com/api/messages-client"
)

func main() {
	configuration := messagesclient.NewConfiguration()
	if url := os.Getenv("API_URL"); url != "" {
		configuration.Servers[0].URL = url
	}
	ctx := context.Background()
	if token := os.Getenv("ACCESS_TOKEN"); token != "" {
		ctx = context.WithValue(ctx, messagesclient.ContextAccessToken, token)
	}
	message, response, err := messagesclient.NewAPIClient(configuration).MessagesAPI.PrivateScoped(ctx).Execute()
	var refusal *messagesclient.GenericOpenAPIError
	switch {
	case err == nil:
		fmt.Println(message.GetMessage())
	case errors.As(err, &refusal):
		problem := refusal.Model().(messagesclient.Problem)
		fmt.Println(response.StatusCode, problem.GetCode())
	default:
		log.Fatal(err)
	}
}
