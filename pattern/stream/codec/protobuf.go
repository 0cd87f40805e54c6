package codec

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/bufbuild/protocompile"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	// The files of Protobuf itself that compiled files import.
	_ "google.golang.org/protobuf/types/known/durationpb"
	_ "google.golang.org/protobuf/types/known/structpb"
	_ "google.golang.org/protobuf/types/known/timestamppb"
	_ "google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/leat-ai/leat/base/fault"
	"github.com/leat-ai/leat/base/frame"
	"github.com/leat-ai/leat/store/bus"
)

// protoCodec reads and writes Protobuf. With a registry, messages are framed as
// Confluent's serializers do it: a zero byte, the id of the schema in four
// bytes, the place of the message in its file, the message. Bodies are read
// field by field into the columns; no message is built. What proto3 leaves out
// because it is zero is zero, and what has presence and is absent is NULL.
type protoCodec struct {
	config Config
	schema *arrow.Schema
	root   *node
	own    protoreflect.MessageDescriptor // of Config.Descriptor, or nil
	plan   *protoNode                     // of own
	text   string                         // of Config.Descriptor, if it is a .proto file

	files   schemas[int, protoreflect.FileDescriptor]
	plans   schemas[string, *protoNode] // by id and place of the message
	targets schemas[string, protoTarget]
}

func newProto(c Config) (*protoCodec, error) {
	root, _, err := tree(c.Columns)
	if err != nil {
		return nil, err
	}
	p := &protoCodec{config: c, schema: frame.SchemaOf(c.columns()), root: root}
	switch {
	case len(c.Descriptor) > 0:
		files, text, err := readDescriptor(c.Descriptor)
		if err != nil {
			return nil, err
		}
		if p.own, err = pickMessage(files, c.Message); err != nil {
			return nil, err
		}
		p.text = text
		p.plan, err = compileProto(p.own, root, c.Columns)
		return p, err
	case c.Registry == nil:
		return nil, fault.New(fault.Invalid, "Protobuf without a schema and without a registry").
			Hint("name a .proto file or a descriptor set (descriptor), or a schema registry (registry)")
	}
	return p, nil
}

// readDescriptor reads a .proto file or a compiled descriptor set.
func readDescriptor(raw []byte) (files []protoreflect.FileDescriptor, text string, err error) {
	if len(raw) > 16*MaxSchema {
		return nil, "", fault.New(fault.TooLarge, "a descriptor of %d bytes", len(raw))
	}
	var set descriptorpb.FileDescriptorSet
	if proto.Unmarshal(raw, &set) == nil && len(set.File) > 0 && set.File[0].GetName() != "" {
		made, err := protodesc.NewFiles(&set)
		if err != nil {
			return nil, "", fault.New(fault.Invalid, "the descriptor set cannot be read").Because(err).
				Hint("make it with protoc --include_imports --descriptor_set_out=FILE")
		}
		made.RangeFiles(func(f protoreflect.FileDescriptor) bool { files = append(files, f); return true })
		return files, "", nil
	}
	if !utf8.Valid(raw) {
		return nil, "", fault.New(fault.Invalid, "the descriptor is neither a .proto file nor a descriptor set")
	}
	file, err := compileFile(string(raw), nil)
	return []protoreflect.FileDescriptor{file}, string(raw), err
}

// compileFile compiles the text of a .proto file with what it imports.
func compileFile(text string, imports map[string]string) (file protoreflect.FileDescriptor, err error) {
	size := len(text)
	for _, i := range imports {
		size += len(i)
	}
	if size > MaxSchema {
		return nil, fault.New(fault.TooLarge, "a .proto file has %d bytes, more than %d", size, MaxSchema)
	}
	defer func() { // a compiler of others, over a text of others
		if p := recover(); p != nil {
			file, err = nil, fault.New(fault.Invalid, "the .proto file cannot be compiled: %.200v", p)
		}
	}()
	if serialized, err := base64.StdEncoding.DecodeString(text); err == nil && len(text) > 0 {
		return serializedFile(serialized, imports)
	}
	const name = "leat-schema.proto"
	compiler := protocompile.Compiler{MaxParallelism: 1, Resolver: protocompile.WithStandardImports(&protocompile.SourceResolver{
		Accessor: func(path string) (io.ReadCloser, error) {
			if path == name {
				return io.NopCloser(strings.NewReader(text)), nil
			}
			if i, ok := imports[path]; ok {
				return io.NopCloser(strings.NewReader(i)), nil
			}
			return nil, protoregistry.NotFound
		},
	})}
	made, err := compiler.Compile(context.Background(), name)
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "the .proto file cannot be compiled")
	}
	return made[0], nil
}

// serializedFile reads the compiled form of a file, in which some producers
// register theirs. What it imports is compiled.
func serializedFile(raw []byte, imports map[string]string) (protoreflect.FileDescriptor, error) {
	var file descriptorpb.FileDescriptorProto
	if err := proto.Unmarshal(raw, &file); err != nil {
		return nil, fault.New(fault.Invalid, "the compiled .proto file cannot be read")
	}
	var known protoregistry.Files
	for _, path := range file.Dependency {
		if _, err := protoregistry.GlobalFiles.FindFileByPath(path); err == nil {
			continue
		}
		made, err := compileFile(imports[path], nil)
		if err != nil {
			return nil, err
		}
		if err := known.RegisterFile(renamed{made, path}); err != nil {
			return nil, fault.Wrap(err, fault.Invalid, "a file that a .proto file imports")
		}
	}
	made, err := protodesc.NewFile(&file, resolver{&known})
	return made, fault.Wrap(err, fault.Invalid, "the compiled .proto file cannot be read")
}

// renamed is a file under the path by which others import it.
type renamed struct {
	protoreflect.FileDescriptor
	path string
}

func (r renamed) Path() string { return r.path }

// resolver looks into what a schema brought, then at what Protobuf itself
// brings.
type resolver struct{ own *protoregistry.Files }

func (r resolver) FindFileByPath(path string) (protoreflect.FileDescriptor, error) {
	if f, err := r.own.FindFileByPath(path); err == nil {
		return f, nil
	}
	return protoregistry.GlobalFiles.FindFileByPath(path)
}

func (r resolver) FindDescriptorByName(name protoreflect.FullName) (protoreflect.Descriptor, error) {
	if d, err := r.own.FindDescriptorByName(name); err == nil {
		return d, nil
	}
	return protoregistry.GlobalFiles.FindDescriptorByName(name)
}

// pickMessage finds the named message, or the only one.
func pickMessage(files []protoreflect.FileDescriptor, name string) (protoreflect.MessageDescriptor, error) {
	var all []string
	var only protoreflect.MessageDescriptor
	for _, f := range files {
		for i := range f.Messages().Len() {
			m := f.Messages().Get(i)
			if found := messageWithin(m, name); found != nil {
				return found, nil
			}
			if !strings.HasPrefix(f.Path(), "google/protobuf/") {
				all, only = append(all, string(m.FullName())), m
			}
		}
	}
	if name == "" && len(all) == 1 {
		return only, nil
	}
	slices.Sort(all)
	if len(all) > 20 {
		all = append(all[:20], "…")
	}
	if name == "" {
		return nil, fault.New(fault.Invalid, "which Protobuf message events are is not said").Hint("message is one of %s", strings.Join(all, ", "))
	}
	return nil, fault.New(fault.Invalid, "the descriptor has no message %q", name).Hint("it has %s", strings.Join(all, ", "))
}

// messageWithin finds a message by its full name, or by its own, in m.
func messageWithin(m protoreflect.MessageDescriptor, name string) protoreflect.MessageDescriptor {
	if string(m.FullName()) == name || string(m.Name()) == name {
		return m
	}
	for i := range m.Messages().Len() {
		if found := messageWithin(m.Messages().Get(i), name); found != nil {
			return found
		}
	}
	return nil
}

func (p *protoCodec) Schema() *arrow.Schema { return p.schema }

func (p *protoCodec) ContentType() string { return "application/x-protobuf" }

func (p *protoCodec) Decode(ctx context.Context, events []bus.Event) (frame.Batch, []error) {
	r := newRows(&p.config, len(events))
	d := protoReader{rows: r}
	for i := range events {
		err := r.admit(&events[i])
		if err == nil {
			err = p.event(ctx, &d, events[i].Body)
		}
		r.end(err)
	}
	return r.batch(p.schema)
}

func (p *protoCodec) event(ctx context.Context, d *protoReader, body []byte) error {
	if p.config.Registry == nil {
		return d.event(p.plan, body, 0)
	}
	id, err := framed(body)
	if err != nil {
		return err
	}
	path, n, err := messagePath(body[frameSize:])
	if err != nil {
		return err
	}
	start := frameSize + n
	plan, err := p.plans.get(string(body[1:start]), func() (*protoNode, error) {
		file, err := p.file(ctx, id)
		if err != nil {
			return nil, err
		}
		m, err := messageAt(file, path)
		if err != nil {
			return nil, err
		}
		return compileProto(m, p.root, p.config.Columns)
	})
	if err != nil {
		return err
	}
	return d.event(plan, body, start)
}

// file returns the compiled schema of an id.
func (p *protoCodec) file(ctx context.Context, id int) (protoreflect.FileDescriptor, error) {
	return p.files.get(id, func() (protoreflect.FileDescriptor, error) {
		s, err := p.config.Registry.Schema(ctx, id)
		if err != nil {
			return nil, err
		}
		if s.Type != "PROTOBUF" {
			return nil, fault.New(fault.Invalid, "schema %d of the registry is %s, not PROTOBUF", id, s.Type)
		}
		return compileFile(s.Text, s.References)
	})
}

// messagePath reads where in its file a message is declared: how many steps,
// and at each the message's place in its parent, as zigzag numbers. No steps
// stand for the first message.
func messagePath(body []byte) (path []int, size int, err error) {
	r := avroReader{body: body}
	count, err := r.long()
	if err != nil || count < 0 || count > MaxPath {
		return nil, 0, fault.New(fault.Invalid, "the event does not say which Protobuf message it is").At("byte %d", frameSize)
	}
	for range count {
		at, err := r.long()
		if err != nil || at < 0 || at > 1<<20 {
			return nil, 0, fault.New(fault.Invalid, "the event does not say which Protobuf message it is").At("byte %d", frameSize+r.at)
		}
		path = append(path, int(at))
	}
	if count == 0 {
		path = []int{0}
	}
	return path, r.at, nil
}

func messageAt(file protoreflect.FileDescriptor, path []int) (protoreflect.MessageDescriptor, error) {
	messages := file.Messages()
	var m protoreflect.MessageDescriptor
	for _, at := range path {
		if at >= messages.Len() {
			return nil, fault.New(fault.Invalid, "the schema has no message at %v", path)
		}
		m = messages.Get(at)
		messages = m.Messages()
	}
	return m, nil
}

// appendPath writes where a message is declared.
func appendPath(dst []byte, m protoreflect.MessageDescriptor) []byte {
	var path []int
	for d := protoreflect.Descriptor(m); ; d = d.Parent() {
		if _, ok := d.(protoreflect.MessageDescriptor); !ok {
			break
		}
		path = append(path, d.Index())
	}
	slices.Reverse(path)
	if bytes.Equal(fmt.Append(nil, path), []byte("[0]")) {
		return append(dst, 0)
	}
	dst = binary.AppendVarint(dst, int64(len(path)))
	for _, at := range path {
		dst = binary.AppendVarint(dst, int64(at))
	}
	return dst
}
