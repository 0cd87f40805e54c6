package amqp

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/Azure/go-amqp"

	"github.com/leat-ai/leat/base/fault"
)

// sharedKey is one of the keys of a namespace of Service Bus.
type sharedKey struct{ name, key string }

// parseKey reads a connection string.
func parseKey(secret string) (k sharedKey, ok bool) {
	for part := range strings.SplitSeq(secret, ";") {
		name, value, _ := strings.Cut(part, "=")
		switch strings.TrimSpace(name) {
		case "SharedAccessKeyName":
			k.name = value
		case "SharedAccessKey":
			k.key = value
		}
	}
	return k, k.name != "" && k.key != ""
}

// token signs the right to use a resource until a time, as Service Bus's
// "Shared Access Signature" has it.
func (k sharedKey) token(resource string, until time.Time) string {
	escaped, expiry := url.QueryEscape(strings.ToLower(resource)), strconv.FormatInt(until.Unix(), 10)
	mac := hmac.New(sha256.New, []byte(k.key))
	_, _ = mac.Write([]byte(escaped + "\n" + expiry)) // a hash takes everything
	signed := url.QueryEscape(base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	return fmt.Sprintf("SharedAccessSignature sr=%s&sig=%s&se=%s&skn=%s", escaped, signed, expiry, url.QueryEscape(k.name))
}

const (
	tokenLife  = time.Hour
	tokenRenew = 45 * time.Minute
	cbsNode    = "$cbs"
	tokenType  = "servicebus.windows.net:sastoken"
)

// renew puts a token for a node, and a new one before it ends, until stop is
// called. A connection whose token cannot be renewed is closed by the broker,
// and made again.
func (b *Bus) renew(ctx context.Context, conn *amqp.Conn, audience string, key *sharedKey) (stop context.CancelFunc, err error) {
	if err := b.put(ctx, conn, audience, key); err != nil {
		return nil, err
	}
	run, stop := context.WithCancel(context.Background()) // it lives longer than the call
	go func() {
		ticker := time.NewTicker(tokenRenew)
		defer ticker.Stop()
		for {
			select {
			case <-run.Done():
				return
			case <-ticker.C:
			}
			once, cancel := context.WithTimeout(run, connectTimeout)
			_ = b.put(once, conn, audience, key) // it is tried again before the token ends, once
			cancel()
		}
	}()
	return stop, nil
}

// put gives the broker a token: "AMQP Claims-Based Security", put-token.
func (b *Bus) put(ctx context.Context, conn *amqp.Conn, audience string, key *sharedKey) error {
	session, err := conn.NewSession(ctx, nil)
	if err != nil {
		return brokerFault(err, "the broker gives no session")
	}
	defer func() { _ = session.Close(ctx) }() // the answer is there, or the error told
	const reply = "cbs-reply"
	sender, err := session.NewSender(ctx, cbsNode, nil)
	if err != nil {
		return brokerFault(err, "the broker takes no tokens")
	}
	receiver, err := session.NewReceiver(ctx, cbsNode, &amqp.ReceiverOptions{TargetAddress: reply, Credit: 1})
	if err != nil {
		return brokerFault(err, "the broker does not answer tokens")
	}
	until := b.config.Clock.Now().Add(tokenLife)
	to := reply
	m := &amqp.Message{
		Value:      key.token(audience, until),
		Properties: &amqp.MessageProperties{MessageID: "put-token", ReplyTo: &to},
		ApplicationProperties: map[string]any{
			"operation": "put-token", "type": tokenType, "name": audience, "expiration": until.UTC(),
		},
	}
	if err := sender.Send(ctx, m, nil); err != nil {
		return brokerFault(err, "the broker takes no tokens")
	}
	answer, err := receiver.Receive(ctx, nil)
	if err != nil {
		return brokerFault(err, "the broker does not answer tokens")
	}
	if err := receiver.AcceptMessage(ctx, answer); err != nil {
		return brokerFault(err, "the broker does not answer tokens")
	}
	if code := status(answer.ApplicationProperties["status-code"]); code != 200 && code != 202 {
		return fault.New(fault.Unavailable, "the broker does not let us in: it answered a token with %d", code).
			Hint("look at the connection string, and whether its key may send or listen")
	}
	return nil
}

func status(v any) int {
	switch n := v.(type) {
	case int32:
		return int(n)
	case int64:
		return int(n)
	case int:
		return n
	}
	return 0
}
