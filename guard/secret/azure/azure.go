// Package azure gets access tokens of Microsoft Entra, with which services of
// Azure are asked instead of with keys: by a client's secret, or as the
// identity of the machine (managed or workload identity, what the environment
// says, the user of Azure's tools).
//
// It stands below guard/secret. Make one Tokens for a server and ask it for
// each call: tokens are kept until shortly before their end and got anew then.
// No error holds a token or a secret.
package azure

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/http"
	"sync"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"github.com/leat-ai/leat/base/fault"
)

// Config is for clouds of one's own and tests; the zero Config is the public
// cloud.
type Config struct {
	// Authority is the address of Entra, such as
	// https://login.microsoftonline.us/; that of the public cloud when empty.
	Authority string
	// Client asks it; the SDK's own when nil.
	Client *http.Client
}

// Identity says as whom a token is asked for: a client with its secret, or
// without one the machine, where Client chooses among several identities.
type Identity struct {
	Tenant, Client, Secret string
}

// Tokens gets tokens. It is safe for many goroutines.
type Tokens struct {
	config Config
	mu     sync.Mutex
	known  map[[sha256.Size]byte]azcore.TokenCredential
}

// New makes a source of tokens.
func New(c Config) *Tokens {
	return &Tokens{config: c, known: map[[sha256.Size]byte]azcore.TokenCredential{}}
}

// maxKnown bounds the identities whose tokens are kept: a secret that is
// rotated is another one.
const maxKnown = 64

// Token returns a token for a scope, such as https://ml.azure.com/.default. It
// is Unauthenticated where Entra does not know who asks, and Unavailable where
// it does not answer.
func (t *Tokens) Token(ctx context.Context, id Identity, scope string) (string, error) {
	credential, err := t.credential(id)
	if err != nil {
		return "", err
	}
	token, err := credential.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{scope}})
	if err != nil {
		return "", refused(ctx, err)
	}
	return token.Token, nil
}

// refused makes a fault of the SDK's error, whose text can hold what was sent.
func refused(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fault.Wrap(ctx.Err(), fault.KindOf(ctx.Err()), "Entra did not answer in time")
	}
	if answer, ok := errors.AsType[*azidentity.AuthenticationFailedError](err); ok && answer.RawResponse != nil {
		status := answer.RawResponse.StatusCode
		if status >= 500 || status == http.StatusTooManyRequests {
			return fault.New(fault.Unavailable, "Entra answers %d", status)
		}
		return fault.New(fault.Unauthenticated, "Entra gives no token (it answers %d)", status).
			Hint("look at the tenant, the client and its secret, and at what the client may")
	}
	return fault.New(fault.Unauthenticated, "no token of Entra can be had here").
		Hint("give a tenant, a client and a secret, or run where there is a managed identity")
}

func (t *Tokens) credential(id Identity) (azcore.TokenCredential, error) {
	key := sha256.Sum256([]byte(id.Tenant + "\x00" + id.Client + "\x00" + id.Secret))
	t.mu.Lock()
	defer t.mu.Unlock()
	if c, ok := t.known[key]; ok {
		return c, nil
	}
	c, err := t.make(id)
	if err != nil {
		return nil, fault.New(fault.Invalid, "the identity of Entra cannot be used").Hint("a tenant is a name or an id, a client is an id")
	}
	if len(t.known) >= maxKnown {
		clear(t.known)
	}
	t.known[key] = c
	return c, nil
}

func (t *Tokens) make(id Identity) (azcore.TokenCredential, error) {
	options := azcore.ClientOptions{}
	if t.config.Authority != "" {
		options.Cloud = cloud.Configuration{ActiveDirectoryAuthorityHost: t.config.Authority}
	}
	if t.config.Client != nil {
		options.Transport = t.config.Client
	}
	switch {
	case id.Secret != "":
		return azidentity.NewClientSecretCredential(id.Tenant, id.Client, id.Secret, &azidentity.ClientSecretCredentialOptions{
			ClientOptions: options, DisableInstanceDiscovery: t.config.Authority != "",
		})
	case id.Client != "":
		return azidentity.NewManagedIdentityCredential(&azidentity.ManagedIdentityCredentialOptions{
			ClientOptions: options, ID: azidentity.ClientID(id.Client),
		})
	}
	return azidentity.NewDefaultAzureCredential(&azidentity.DefaultAzureCredentialOptions{ClientOptions: options, TenantID: id.Tenant})
}
