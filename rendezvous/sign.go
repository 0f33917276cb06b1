package rendezvous

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
)

// errSignature means that a record was not made with this job's secret, or not for this place.
var errSignature = errors.New("the signature does not match: another TUTTI_SECRET, or a forgery")

// derive makes a key for one purpose from the job's secret.
func derive(secret []byte, purpose string) []byte {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(purpose))
	return mac.Sum(nil)
}

// storePassword is the embedded server's password. The secret does not follow from it.
func storePassword(secret string) string {
	return hex.EncodeToString(derive([]byte(secret), "tutti embedded store password 1"))
}

// Signer authenticates what the processes of one job write to a store: whoever may write there, but
// does not know the job's secret, can make nothing that Verify accepts. It may be used by several
// goroutines at once. The zero Signer, like one without a secret, signs nothing.
type Signer struct {
	key []byte // nil without a secret
}

// NewSigner makes the signer for one purpose, a constant text: signatures of another purpose do not
// match, even with the same secret. An empty secret gives a Signer that signs nothing.
func NewSigner(secret []byte, purpose string) Signer {
	if len(secret) == 0 {
		return Signer{}
	}
	return Signer{key: derive(secret, purpose)}
}

// unsigned stands in the place of a signature where a job has no secret.
const unsigned = "-"

// Sign returns the signature of parts, an HMAC-SHA256 in hexadecimal, or "-" without a secret. The
// signature covers where each part ends. Name in it what the content is and where it belongs: what
// is not signed can be exchanged.
func (s Signer) Sign(parts ...[]byte) string {
	if s.key == nil {
		return unsigned
	}
	mac := hmac.New(sha256.New, s.key)
	for _, part := range parts {
		var length [8]byte
		binary.BigEndian.PutUint64(length[:], uint64(len(part)))
		mac.Write(length[:])
		mac.Write(part)
	}
	return hex.EncodeToString(mac.Sum(nil))
}

// Verify says whether signature is that of parts, in constant time. Without a secret, only "-" is:
// what a process with a secret has signed cannot be checked, and is refused.
func (s Signer) Verify(signature string, parts ...[]byte) bool {
	return hmac.Equal([]byte(signature), []byte(s.Sign(parts...)))
}

// signer authenticates the records of one job's roll calls. Each record's signature covers what it
// is (label), where it belongs (job, roll) and its content, so that none can be moved elsewhere.
type signer struct {
	Signer
	job string
}

func newSigner(secret []byte, job string) signer {
	return signer{Signer: NewSigner(secret, "tutti roll call 1"), job: job}
}

// seal returns signature, newline, body.
func (s signer) seal(label, roll string, body []byte) []byte {
	signature := s.Sign([]byte(label), []byte(s.job), []byte(roll), body)
	record := append([]byte(signature), '\n')
	return append(record, body...)
}

// unseal checks the signature and returns the body.
func (s signer) unseal(label, roll string, record []byte) ([]byte, error) {
	signature, body, found := bytes.Cut(record, []byte("\n"))
	if !found || !s.Verify(string(signature), []byte(label), []byte(s.job), []byte(roll), body) {
		return nil, errSignature
	}
	return body, nil
}
