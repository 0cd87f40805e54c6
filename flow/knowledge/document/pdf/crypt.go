package pdf

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/md5" //nolint:gosec // the format says so
	"crypto/rc4" //nolint:gosec // the format says so
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/binary"
	"io"

	"github.com/leat-ai/leat/base/fault"
)

// crypt decrypts a file that opens without a password: one with an owner's
// password alone, which forbids printing or changing it (7.6).
type crypt struct {
	key  []byte
	aes  bool
	aes3 bool // the key itself is used, of 256 bits
}

func locked() error {
	return fault.New(fault.Unsupported, "the PDF file is encrypted with a password").Hint("remove its password and give it again")
}

// decryption finds the key of an encrypted file with the empty password.
func (f *File) decryption() error {
	f.crypt = nil
	if f.trailer.dict["Encrypt"].kind == kindNull {
		return nil
	}
	d, err := f.get(f.trailer, "Encrypt")
	if err != nil || d.kind != kindDict {
		return err
	}
	if !d.dict["Filter"].isName("Standard") {
		return locked()
	}
	c := &crypt{}
	version, revision := d.dict["V"].int(), d.dict["R"].int()
	length := d.dict["Length"].int() / 8
	switch version {
	case 1:
		length = 5
	case 2:
	case 4, 5:
		method := d.dict["CF"].dict[d.dict["StmF"].str].dict["CFM"]
		c.aes, c.aes3 = method.isName("AESV2") || method.isName("AESV3"), version == 5
		length = 16
	default:
		return locked()
	}
	if length < 5 || length > 16 {
		length = 5
	}
	owner, user := d.dict["O"].str, d.dict["U"].str
	if version == 5 {
		c.key = key256(d, user, revision)
	} else {
		id := ""
		if ids, err := f.get(f.trailer, "ID"); err == nil && len(ids.array) > 0 {
			id = ids.array[0].str
		}
		encryptsMeta := d.dict["EncryptMetadata"].kind != kindBool || d.dict["EncryptMetadata"].num == 1
		c.key = key128(owner, user, id, d.dict["P"].int(), revision, length, encryptsMeta)
	}
	if c.key == nil {
		return locked()
	}
	f.crypt = c
	f.streams, f.order = map[int]*objectStream{}, nil
	return nil
}

var padding = []byte("\x28\xBF\x4E\x5E\x4E\x75\x8A\x41\x64\x00\x4E\x56\xFF\xFA\x01\x08\x2E\x2E\x00\xB6\xD0\x68\x3E\x80\x2F\x0C\xA9\xFE\x64\x53\x69\x7A")

// key128 is the key of the revisions 2 to 4 for the empty password, or nil
// where that is not the password (algorithms 2, 4 and 5).
func key128(owner, user, id string, permissions, revision, length int, encryptsMeta bool) []byte {
	if len(owner) < 32 || len(user) < 16 {
		return nil
	}
	h := md5.New() //nolint:gosec // the format says so
	h.Write(padding)
	h.Write([]byte(owner[:32]))
	_ = binary.Write(h, binary.LittleEndian, uint32(permissions)) //nolint:gosec,errcheck // bits; a hash never fails
	h.Write([]byte(id))
	if revision >= 4 && !encryptsMeta {
		h.Write([]byte{255, 255, 255, 255})
	}
	key := h.Sum(nil)
	if revision < 3 {
		key = key[:5]
		check := make([]byte, 32)
		xor(key, check, padding)
		if subtle.ConstantTimeCompare(check[:16], []byte(user[:16])) == 0 {
			return nil
		}
		return key
	}
	for range 50 {
		sum := md5.Sum(key[:length]) //nolint:gosec // the format says so
		key = sum[:]
	}
	key = key[:length]
	h = md5.New() //nolint:gosec // the format says so
	h.Write(padding)
	h.Write([]byte(id))
	check := h.Sum(nil)
	for i := range 20 {
		turned := make([]byte, length)
		for j := range turned {
			turned[j] = key[j] ^ byte(i)
		}
		xor(turned, check, check)
	}
	if subtle.ConstantTimeCompare(check, []byte(user[:16])) == 0 {
		return nil
	}
	return key
}

func xor(key, to, from []byte) {
	if c, err := rc4.NewCipher(key); err == nil { //nolint:gosec // the format says so
		c.XORKeyStream(to, from)
	}
}

// key256 is the key of the revisions 5 and 6 (algorithm 2.A).
func key256(d value, user string, revision int) []byte {
	wrapped := d.dict["UE"].str
	if len(user) < 48 || len(wrapped) < 32 {
		return nil
	}
	hash := func(salt string) []byte {
		if revision < 6 {
			sum := sha256.Sum256([]byte(salt))
			return sum[:]
		}
		return hash2B(salt)
	}
	if subtle.ConstantTimeCompare(hash(user[32:40]), []byte(user[:32])) == 0 {
		return nil
	}
	block, err := aes.NewCipher(hash(user[40:48]))
	if err != nil {
		return nil
	}
	key := make([]byte, 32)
	cipher.NewCBCDecrypter(block, make([]byte, 16)).CryptBlocks(key, []byte(wrapped[:32]))
	return key
}

// hash2B is algorithm 2.B for the empty password.
func hash2B(salt string) []byte {
	sum := sha256.Sum256([]byte(salt))
	k := sum[:]
	for round := 0; ; round++ {
		block, err := aes.NewCipher(k[:16])
		if err != nil {
			return nil
		}
		e := make([]byte, 0, 64*len(k))
		for range 64 {
			e = append(e, k...)
		}
		cipher.NewCBCEncrypter(block, k[16:32]).CryptBlocks(e, e)
		rest := 0
		for _, c := range e[:16] {
			rest += int(c)
		}
		switch rest % 3 {
		case 0:
			s := sha256.Sum256(e)
			k = s[:]
		case 1:
			s := sha512.Sum384(e)
			k = s[:]
		default:
			s := sha512.Sum512(e)
			k = s[:]
		}
		if round >= 63 && int(e[len(e)-1]) <= round-32 {
			return k[:32]
		}
	}
}

// objectKey is the key of one object (algorithm 1).
func (c *crypt) objectKey(of ref) []byte {
	if c.aes3 {
		return c.key
	}
	h := md5.New() //nolint:gosec // the format says so
	h.Write(c.key)
	h.Write([]byte{byte(of.number), byte(of.number >> 8), byte(of.number >> 16), byte(of.generation), byte(of.generation >> 8)})
	if c.aes {
		h.Write([]byte("sAlT"))
	}
	return h.Sum(nil)[:min(16, len(c.key)+5)]
}

// stream decrypts the data of a stream. What cannot be decrypted is empty.
func (c *crypt) stream(r io.Reader, of ref) io.Reader {
	key := c.objectKey(of)
	if !c.aes {
		s, err := rc4.NewCipher(key) //nolint:gosec // the format says so
		if err != nil {
			return eof{}
		}
		return &cipher.StreamReader{S: s, R: r}
	}
	block, err := aes.NewCipher(key)
	iv := make([]byte, aes.BlockSize)
	if err != nil {
		return eof{}
	}
	if _, err := io.ReadFull(r, iv); err != nil {
		return eof{}
	}
	return &cbcReader{r: r, mode: cipher.NewCBCDecrypter(block, iv)}
}

// cbcReader decrypts block by block. The padding of the last block is left:
// the filters after it stop before it, and content takes it for space.
type cbcReader struct {
	r       io.Reader
	mode    cipher.BlockMode
	buf     [4096]byte
	pending []byte
}

func (c *cbcReader) Read(p []byte) (int, error) {
	if len(c.pending) == 0 {
		n, err := io.ReadFull(c.r, c.buf[:])
		if n -= n % aes.BlockSize; n == 0 {
			if err == nil || err == io.ErrUnexpectedEOF {
				err = io.EOF
			}
			return 0, err
		}
		c.mode.CryptBlocks(c.buf[:n], c.buf[:n])
		c.pending = c.buf[:n]
	}
	n := copy(p, c.pending)
	c.pending = c.pending[n:]
	return n, nil
}

// decryptStrings decrypts the strings of an object.
func (f *File) decryptStrings(v value, of ref, depth int) value {
	if f.crypt == nil || depth > mostNested {
		return v
	}
	switch v.kind {
	case kindString:
		v.str = f.crypt.text(v.str, of)
	case kindArray:
		for i := range v.array {
			v.array[i] = f.decryptStrings(v.array[i], of, depth+1)
		}
	case kindDict:
		for key, x := range v.dict {
			v.dict[key] = f.decryptStrings(x, of, depth+1)
		}
	}
	return v
}

func (c *crypt) text(s string, of ref) string {
	key := c.objectKey(of)
	if !c.aes {
		out := make([]byte, len(s))
		xor(key, out, []byte(s))
		return string(out)
	}
	block, err := aes.NewCipher(key)
	if err != nil || len(s) < 32 || len(s)%aes.BlockSize != 0 {
		return ""
	}
	out := []byte(s[aes.BlockSize:])
	cipher.NewCBCDecrypter(block, []byte(s[:aes.BlockSize])).CryptBlocks(out, out)
	pad := int(out[len(out)-1])
	if pad < 1 || pad > len(out) {
		return ""
	}
	return string(out[:len(out)-pad])
}
