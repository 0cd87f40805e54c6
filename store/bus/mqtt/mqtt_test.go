package mqtt_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/rand/v2"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/internal/testserver"
	"github.com/leat-ai/leat/store/bus"
	"github.com/leat-ai/leat/store/bus/bustest"
	"github.com/leat-ai/leat/store/bus/mqtt"
)

func open(t testing.TB, c mqtt.Config) *mqtt.Bus {
	t.Helper()
	b, err := mqtt.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b
}

func TestSuite(t *testing.T) {
	s := testserver.Mosquitto(t)
	c := mqtt.Config{Servers: []string{s.Address}, Client: "test"}
	bustest.Run(t, bustest.Options{
		Open: func(t *testing.T) bus.Bus { return open(t, c) },
		Topic: func(t *testing.T) string {
			// A broker keeps nothing for who has not subscribed yet: those who
			// will read the topic have been there before.
			topic := fmt.Sprintf("topic/%d", rand.Uint64())
			b := open(t, c)
			for _, group := range []string{"group-" + topic, "other", "acked", "unacked", "reject", "restart", "leak", "g"} {
				r, err := b.Reader(t.Context(), topic, bus.ReadOptions{Group: group})
				if err != nil {
					t.Fatal(err)
				}
				if err := r.Close(); err != nil {
					t.Fatal(err)
				}
			}
			if err := b.Close(); err != nil {
				t.Fatal(err)
			}
			return topic
		},
		Restart: func(*testing.T) { // the broker ends with the whole test
			s.Stop(t)
			time.Sleep(200 * time.Millisecond)
			s.Start(t)
		},
		NoLag: true, // MQTT does not tell
	})
}

func publish(t testing.TB, b bus.Bus, topic string, events ...bus.Event) {
	t.Helper()
	w, err := b.Writer(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Write(t.Context(), events); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestBroken: events that were returned when the connection broke are not
// returned again, whether they were acknowledged meanwhile or not, and the
// broker does not keep them.
func TestBroken(t *testing.T) {
	s := testserver.Mosquitto(t)
	b := open(t, mqtt.Config{Servers: []string{s.Address}, Client: "test"})
	r, err := b.Reader(t.Context(), "t", bus.ReadOptions{Group: "g"})
	if err != nil {
		t.Fatal(err)
	}
	var sent []bus.Event
	for i := range 6 {
		sent = append(sent, bus.Event{Key: []byte("k"), Body: fmt.Append(nil, i)})
	}
	publish(t, b, "t", sent...)
	var got []bus.Event
	for len(got) < 6 {
		events, err := r.Next(t.Context(), 6)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, events...)
	}
	s.Stop(t)
	if err := r.Ack(t.Context(), got[:3]); err != nil {
		t.Fatal(err)
	}
	s.Start(t)
	// Mosquitto keeps nothing for a shared subscription between its start and
	// the return of the reader, so it is written until one comes.
	var events []bus.Event
	for deadline := time.Now().Add(time.Minute); len(events) == 0 && time.Now().Before(deadline); {
		publish(t, b, "t", bus.Event{Body: []byte("after")})
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		events, err = r.Next(ctx, 10)
		cancel()
	}
	for _, e := range events {
		if string(e.Body) != "after" {
			t.Fatalf("%s came again", e.Body)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	drain, stop := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer stop()
	for more, err := r.Next(drain, 10); err == nil; more, err = r.Next(drain, 10) {
		events = append(events, more...)
	}
	if err := r.Ack(t.Context(), append(got[3:], events...)); err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if r, err = b.Reader(t.Context(), "t", bus.ReadOptions{Group: "g"}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if events, err := r.Next(ctx, 10); err == nil {
		t.Errorf("%v came again", events)
	}
}

// TestShared: two readers of a group share what comes.
func TestShared(t *testing.T) {
	s := testserver.Mosquitto(t)
	b := open(t, mqtt.Config{Servers: []string{s.Address}})
	counts, total := [2]int{}, 0
	var readers [2]bus.Reader
	for i := range readers {
		r, err := b.Reader(t.Context(), "shared", bus.ReadOptions{Group: "a/b"})
		if err != nil {
			t.Fatal(err)
		}
		readers[i] = r
	}
	var sent []bus.Event
	for i := range 200 {
		sent = append(sent, bus.Event{Body: fmt.Append(nil, i)})
	}
	publish(t, b, "shared", sent...)
	for total < 200 {
		for i, r := range readers {
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			events, err := r.Next(ctx, 50)
			cancel()
			if err != nil && !fault.Is(err, fault.Timeout) {
				t.Fatal(err)
			}
			if err := r.Ack(t.Context(), events); err != nil {
				t.Fatal(err)
			}
			counts[i] += len(events)
			total += len(events)
		}
	}
	if total != 200 || counts[0] == 0 || counts[1] == 0 {
		t.Errorf("%v", counts)
	}
}

// TestLetIn: TLS, and a user with a password that is asked for each time.
func TestLetIn(t *testing.T) {
	folder := t.TempDir()
	passwords := filepath.Join(folder, "passwords")
	if out, err := exec.Command("mosquitto_passwd", "-b", "-c", passwords, "leat", "opens").CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	cert, key, roots := certificate(t, folder)
	s := testserver.Mosquitto(t, "allow_anonymous false", "password_file "+passwords, "certfile "+cert, "keyfile "+key)
	secret := "leat:wrong"
	c := mqtt.Config{Servers: []string{s.Address}, TLS: &tls.Config{RootCAs: roots, ServerName: "example.com"},
		Secret: func(context.Context) (string, error) { return secret, nil }}
	b := open(t, c)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	_, err := b.Reader(ctx, "t", bus.ReadOptions{Group: "g"})
	if !fault.Is(err, fault.Unavailable) || !strings.Contains(fault.HintOf(err), "PASSWORD") || strings.Contains(err.Error(), "wrong") {
		t.Fatalf("%v", err)
	}
	secret = "leat:opens" // as after a rotation
	r, err := b.Reader(t.Context(), "t", bus.ReadOptions{Group: "g"})
	if err != nil {
		t.Fatal(err)
	}
	publish(t, b, "t", bus.Event{Body: []byte("in")})
	if got, err := r.Next(t.Context(), 1); err != nil || string(got[0].Body) != "in" {
		t.Errorf("%v %v", got, err)
	}
	c.TLS = &tls.Config{ServerName: "example.com"} // who does not know the certificate
	ctx, cancel = context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, err := open(t, c).Reader(ctx, "t", bus.ReadOptions{}); !fault.Is(err, fault.Unavailable) {
		t.Errorf("%v", err)
	}
}

// certificate writes that of the standard library's test servers.
func certificate(t *testing.T, folder string) (cert, key string, roots *x509.CertPool) {
	t.Helper()
	s := httptest.NewTLSServer(nil)
	defer s.Close()
	pair := s.TLS.Certificates[0]
	private, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(folder, "cert.pem"), filepath.Join(folder, "key.pem")
	for path, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: pair.Certificate[0]}, key: {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	roots = x509.NewCertPool()
	roots.AddCert(s.Certificate())
	return cert, key, roots
}

func TestTopics(t *testing.T) {
	b := open(t, mqtt.Config{Servers: []string{"127.0.0.1:1"}})
	for _, topic := range []string{"", "a+", "#", "$SYS/x", "a\x00"} {
		if _, err := b.Writer(t.Context(), topic); !fault.Is(err, fault.Invalid) {
			t.Errorf("%q: %v", topic, err)
		}
	}
	for _, bad := range []map[string]string{{"inflight": "x"}, {"nothing": "1"}, {"expiry": "week"}} {
		if _, err := mqtt.Parse(bad); !fault.Is(err, fault.Invalid) {
			t.Errorf("%v: %v", bad, err)
		}
	}
}
