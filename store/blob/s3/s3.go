// Package s3 is the bucket on S3 and on what speaks its protocol.
package s3

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
	cdk "gocloud.dev/blob"
	"gocloud.dev/blob/s3blob"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/store/blob"
	"github.com/leat-ai/leat/store/blob/cloud"
)

// Config says which bucket is meant. Only Bucket is needed; what is absent is
// looked for where the tools of AWS look for it.
type Config struct {
	// Bucket must exist.
	Bucket string
	// Prefix is a path in the bucket that all names begin with, without a
	// slash at its end.
	Prefix string
	// Region of the bucket.
	Region string
	// Endpoint of another service than that of AWS: http://host:port.
	Endpoint string
	// PathStyle puts the bucket's name into the path rather than the host, as
	// most other services want it.
	PathStyle bool
	// Keys returns the access key and the secret key. It is asked now and
	// again, so that keys can change. nil: the environment, the shared files,
	// the role of the machine.
	Keys func(context.Context) (access, secret string, err error)
}

// Parse reads s3://bucket/prefix?region=…&endpoint=…&path_style=true.
func Parse(from string) (Config, error) {
	u, err := url.Parse(from)
	if err != nil || u.Scheme != "s3" || u.Host == "" || u.User != nil {
		return Config{}, fault.New(fault.Invalid, "this is not the URL of a bucket on S3").
			Hint("write s3://bucket/prefix?region=eu-central-1, without keys")
	}
	c := Config{Bucket: u.Host, Prefix: strings.Trim(u.Path, "/")}
	for key, values := range u.Query() {
		switch value := values[len(values)-1]; key {
		case "region":
			c.Region = value
		case "endpoint":
			c.Endpoint = value
		case "path_style":
			c.PathStyle = value == "true"
		default:
			return Config{}, fault.New(fault.Invalid, "the URL of a bucket on S3 knows no %q", key).
				Hint("it knows region, endpoint and path_style")
		}
	}
	return c, nil
}

// Validate reports every mistake of the configuration.
func (c Config) Validate() error {
	var l fault.List
	if c.Bucket == "" || strings.ContainsAny(c.Bucket, "/?# ") {
		l.Add(fault.New(fault.Invalid, "%q is not the name of a bucket", c.Bucket))
	}
	if c.Prefix != "" {
		l.Add(blob.CheckName(c.Prefix))
	}
	if c.Endpoint != "" {
		u, err := url.Parse(c.Endpoint)
		if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
			l.Add(fault.New(fault.Invalid, "the endpoint of S3 is not an address").Hint("write https://host:port"))
		}
	}
	return l.Err()
}

// Open looks whether the bucket is there and opens it.
func Open(ctx context.Context, c Config) (blob.Bucket, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	var options []func(*config.LoadOptions) error
	if c.Region != "" {
		options = append(options, config.WithRegion(c.Region))
	}
	if c.Keys != nil {
		options = append(options, config.WithCredentialsProvider(aws.NewCredentialsCache(keys(c.Keys))))
	}
	loaded, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "the settings of AWS cannot be read")
	}
	client := s3.NewFromConfig(loaded, func(o *s3.Options) {
		o.UsePathStyle = c.PathStyle
		o.DisableLogOutputChecksumValidationSkipped = true // it is so for every object of several parts
		if c.Endpoint != "" {
			o.BaseEndpoint = aws.String(c.Endpoint)
		}
	})
	opened, err := s3blob.OpenBucket(ctx, client, c.Bucket, &s3blob.Options{RequestChecksumCalculation: loaded.RequestChecksumCalculation})
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "the bucket cannot be opened")
	}
	return cloud.New(ctx, opened, c.Prefix, cloud.Service{Name: "S3", Reply: reply, ETag: etag})
}

// keys provides credentials for five minutes at a time.
type keys func(context.Context) (access, secret string, err error)

func (k keys) Retrieve(ctx context.Context) (aws.Credentials, error) {
	access, secret, err := k(ctx)
	return aws.Credentials{AccessKeyID: access, SecretAccessKey: secret, Source: "leat",
		CanExpire: true, Expires: time.Now().Add(5 * time.Minute)}, err
}

func reply(err error) (status int, code string) {
	if answer, ok := errors.AsType[*http.ResponseError](err); ok {
		status = answer.HTTPStatusCode()
	}
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		code = api.ErrorCode()
	}
	return status, code
}

func etag(o *cdk.ListObject) string {
	var listed types.Object
	if !o.As(&listed) {
		return ""
	}
	return aws.ToString(listed.ETag)
}
