// Package azure is the bucket in a container of Azure Blob Storage.
//
// Names with ", #, % or ? are stored with these characters escaped, as the Go
// CDK does it; List gives them in the order of the escaped names.
package azure

import (
	"context"
	"errors"
	"net/url"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"
	cdk "gocloud.dev/blob"
	"gocloud.dev/blob/azureblob"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/store/blob"
	"github.com/leat-ai/leat/store/blob/cloud"
)

// Config says which container is meant.
type Config struct {
	// Account is the storage account.
	Account string
	// Container must exist.
	Container string
	// Prefix is a path in the container that all names begin with, without a
	// slash at its end.
	Prefix string
	// Endpoint is the address of the account: "" means
	// https://ACCOUNT.blob.core.windows.net.
	Endpoint string
	// Key returns the account's key. nil: the identity of the machine, the
	// pod or the person, as Azure's tools find it, which is to be preferred.
	Key func(context.Context) (string, error)
}

// Parse reads azblob://container/prefix?account=…&endpoint=….
func Parse(from string) (Config, error) {
	u, err := url.Parse(from)
	if err != nil || u.Scheme != "azblob" || u.Host == "" || u.User != nil {
		return Config{}, fault.New(fault.Invalid, "this is not the URL of a container on Azure").
			Hint("write azblob://container/prefix?account=name, without keys")
	}
	c := Config{Container: u.Host, Prefix: strings.Trim(u.Path, "/")}
	for key, values := range u.Query() {
		switch value := values[len(values)-1]; key {
		case "account":
			c.Account = value
		case "endpoint":
			c.Endpoint = value
		default:
			return Config{}, fault.New(fault.Invalid, "the URL of a container on Azure knows no %q", key).
				Hint("it knows account and endpoint")
		}
	}
	return c, nil
}

// lakeDomain is where accounts show their containers to engines that read
// data lakes: the same objects, as files.
const lakeDomain = ".dfs.core.windows.net"

// LakeAddress is the address by which such engines know the container:
// abfss://container@account.dfs.core.windows.net/prefix.
func (c Config) LakeAddress() string {
	address := "abfss://" + c.Container + "@" + c.Account + lakeDomain
	if c.Prefix != "" {
		address += "/" + c.Prefix
	}
	return address
}

// FromLake turns an address that such engines use into one that Parse reads.
func FromLake(address string) (string, error) {
	u, err := url.Parse(address)
	if err == nil {
		account, known := strings.CutSuffix(u.Host, lakeDomain)
		if _, password := u.User.Password(); known && u.Scheme == "abfss" && u.User.Username() != "" && !password {
			query := u.Query()
			query.Set("account", account)
			return (&url.URL{Scheme: "azblob", Host: u.User.Username(), Path: u.Path, RawQuery: query.Encode()}).String(), nil
		}
	}
	return "", fault.New(fault.Invalid, "this is not the address of a data lake on Azure").
		Hint("write abfss://container@account.dfs.core.windows.net/path")
}

// Validate reports every mistake of the configuration.
func (c Config) Validate() error {
	var l fault.List
	if c.Container == "" || strings.ContainsAny(c.Container, "/?# ") {
		l.Add(fault.New(fault.Invalid, "%q is not the name of a container", c.Container))
	}
	if c.Account == "" || strings.ContainsAny(c.Account, "/?#.: ") {
		l.Add(fault.New(fault.Invalid, "%q is not the name of a storage account", c.Account).Hint("add ?account=name"))
	}
	if c.Prefix != "" {
		l.Add(blob.CheckName(c.Prefix))
	}
	if c.Endpoint != "" {
		u, err := url.Parse(c.Endpoint)
		if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.RawQuery != "" {
			l.Add(fault.New(fault.Invalid, "the endpoint of Azure is not an address").Hint("write https://account.blob.core.windows.net"))
		}
	}
	return l.Err()
}

func (c Config) address() string {
	endpoint := c.Endpoint
	if endpoint == "" {
		endpoint = "https://" + c.Account + ".blob.core.windows.net"
	}
	return strings.TrimSuffix(endpoint, "/") + "/" + c.Container
}

// Open looks whether the container is there and opens it. The key, where one
// is used, is asked for now and not again.
func Open(ctx context.Context, c Config) (blob.Bucket, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	client, err := c.client(ctx)
	if err != nil {
		return nil, err
	}
	opened, err := azureblob.OpenBucket(ctx, client, nil)
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "the container cannot be opened")
	}
	return cloud.New(ctx, opened, c.Prefix, cloud.Service{Name: "Azure Blob Storage", Reply: reply, ETag: etag})
}

func (c Config) client(ctx context.Context) (*container.Client, error) {
	if c.Key == nil {
		identity, err := azidentity.NewDefaultAzureCredential(nil)
		if err != nil {
			return nil, fault.Wrap(err, fault.Unauthenticated, "no identity of Azure was found")
		}
		client, err := container.NewClient(c.address(), identity, nil)
		return client, fault.Wrap(err, fault.Invalid, "the address of the container cannot be used")
	}
	key, err := c.Key(ctx)
	if err != nil {
		return nil, err
	}
	credential, err := container.NewSharedKeyCredential(c.Account, key)
	if err != nil { // its text might hold part of the key
		return nil, fault.New(fault.Invalid, "the key of the storage account is not one").Hint("it is text in base64")
	}
	client, err := container.NewClientWithSharedKeyCredential(c.address(), credential, nil)
	return client, fault.Wrap(err, fault.Invalid, "the address of the container cannot be used")
}

func reply(err error) (status int, code string) {
	if answer, ok := errors.AsType[*azcore.ResponseError](err); ok {
		return answer.StatusCode, answer.ErrorCode
	}
	return 0, ""
}

func etag(o *cdk.ListObject) string {
	var item container.BlobItem
	if !o.As(&item) || item.Properties == nil || item.Properties.ETag == nil {
		return ""
	}
	return string(*item.Properties.ETag)
}
