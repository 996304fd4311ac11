// A peer outside Python: net/http with golang-jwt, as a Go programmer would write it by hand.
package main

import (
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"math/big"
	"net/http"
	"strings"

	"github.com/golang-jwt/jwt/v4"
)

type keySet struct {
	Keys []struct {
		Kty, Kid, N, E string
	}
}

func read(url string, into any) {
	response, err := http.Get(url)
	if err != nil {
		log.Fatal(err)
	}
	defer response.Body.Close()
	if err := json.NewDecoder(response.Body).Decode(into); err != nil {
		log.Fatal(err)
	}
}

func number(text string) *big.Int {
	bytes, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		log.Fatal(err)
	}
	return new(big.Int).SetBytes(bytes)
}

func keysOf(issuer string) map[string]*rsa.PublicKey {
	var metadata struct {
		Address string `json:"jwks_uri"`
	}
	read(strings.TrimSuffix(issuer, "/")+"/.well-known/openid-configuration", &metadata)
	var set keySet
	read(metadata.Address, &set)
	keys := map[string]*rsa.PublicKey{}
	for _, key := range set.Keys {
		if key.Kty == "RSA" {
			keys[key.Kid] = &rsa.PublicKey{N: number(key.N), E: int(number(key.E).Int64())}
		}
	}
	return keys
}

func answer(message string) http.HandlerFunc {
	return func(writer http.ResponseWriter, _ *http.Request) {
		writer.Header().Set("Content-Type", "application/json")
		json.NewEncoder(writer).Encode(map[string]string{"message": message})
	}
}

func protect(next http.HandlerFunc, issuer, audience string) http.HandlerFunc {
	keys := keysOf(issuer)
	parser := jwt.NewParser(jwt.WithValidMethods([]string{"RS256"}))
	key := func(token *jwt.Token) (any, error) {
		kid, _ := token.Header["kid"].(string)
		if found, ok := keys[kid]; ok {
			return found, nil
		}
		return nil, fmt.Errorf("no key %q", kid)
	}
	return func(writer http.ResponseWriter, request *http.Request) {
		scheme, text, _ := strings.Cut(request.Header.Get("Authorization"), " ")
		claims := jwt.MapClaims{}
		if strings.EqualFold(scheme, "Bearer") {
			_, err := parser.ParseWithClaims(text, claims, key)
			if err == nil && claims.VerifyIssuer(issuer, true) && claims.VerifyAudience(audience, true) {
				next(writer, request)
				return
			}
		}
		writer.Header().Set("WWW-Authenticate", "Bearer")
		writer.WriteHeader(http.StatusUnauthorized)
	}
}

func main() {
	port := flag.Int("port", 3010, "")
	issuer := flag.String("issuer", "", "")
	audience := flag.String("audience", "", "")
	flag.Parse()
	public := "Hello from a public endpoint! You don't need to be authenticated to see this."
	private := "Hello from a private endpoint! You need to be authenticated to see this."
	http.Handle("/api/public", answer(public))
	http.Handle("/api/private", protect(answer(private), *issuer, *audience))
	log.Fatal(http.ListenAndServe(fmt.Sprintf("127.0.0.1:%d", *port), nil))
}
