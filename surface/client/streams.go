package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"github.com/leat-ai/leat/pattern/stream"
	"github.com/leat-ai/leat/surface/api"
)

func streamPath(name string, rest ...string) string {
	path := "/v1/streams/" + url.PathEscape(name)
	for _, r := range rest {
		path += "/" + r
	}
	return path
}

// Streams lists streams and how they are.
func (c *Client) Streams(ctx context.Context) ([]stream.Status, error) {
	return get[[]stream.Status](ctx, c, "/v1/streams", nil)
}

// Stream says how a stream is.
func (c *Client) Stream(ctx context.Context, name string) (stream.Status, error) {
	return get[stream.Status](ctx, c, streamPath(name), nil)
}

// PauseStream holds a stream.
func (c *Client) PauseStream(ctx context.Context, name string) (stream.Status, error) {
	return post[stream.Status](ctx, c, streamPath(name, "pause"), nil)
}

// ResumeStream lets a paused stream go on.
func (c *Client) ResumeStream(ctx context.Context, name string) (stream.Status, error) {
	return post[stream.Status](ctx, c, streamPath(name, "resume"), nil)
}

// SeekStream lets a stream go on elsewhere: see stream.ParsePlace.
func (c *Client) SeekStream(ctx context.Context, name, to string) (stream.Sought, error) {
	return post[stream.Sought](ctx, c, streamPath(name, "seek"), map[string]string{"to": to})
}

// DeadLetters lists events that a stream could not deal with, after one of a
// number, without their bodies.
func (c *Client) DeadLetters(ctx context.Context, name string, after int64, limit int) ([]stream.Letter, error) {
	return get[[]stream.Letter](ctx, c, streamPath(name, "dead"), limited(limit, "after", strconv.FormatInt(after, 10)))
}

// DeadLetter returns one with its body.
func (c *Client) DeadLetter(ctx context.Context, name string, number int64) (stream.Letter, error) {
	return get[stream.Letter](ctx, c, streamPath(name, "dead", strconv.FormatInt(number, 10)), nil)
}

// EditDeadLetter replaces the body of one.
func (c *Client) EditDeadLetter(ctx context.Context, name string, number int64, body []byte) (out stream.Letter, err error) {
	err = c.do(ctx, call{method: http.MethodPut, path: streamPath(name, "dead", strconv.FormatInt(number, 10)), body: map[string][]byte{"body": body}}, &out)
	return out, err
}

// ReplayDeadLetters lets some be tried again, all when there are no numbers,
// and returns how many.
func (c *Client) ReplayDeadLetters(ctx context.Context, name string, numbers []int64) (int64, error) {
	return c.letters(ctx, name, "replay", numbers)
}

// DropDeadLetters deletes some, all when there are no numbers, and returns how
// many.
func (c *Client) DropDeadLetters(ctx context.Context, name string, numbers []int64) (int64, error) {
	return c.letters(ctx, name, "drop", numbers)
}

func (c *Client) letters(ctx context.Context, name, what string, numbers []int64) (int64, error) {
	body := map[string]any{"all": true}
	if len(numbers) > 0 {
		body = map[string]any{"letters": numbers}
	}
	out, err := post[api.LettersChanged](ctx, c, streamPath(name, "dead", what), body)
	return out.Letters, err
}
