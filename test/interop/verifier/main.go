// Command verify checks checkpoints and proofs of a transparency log with none of the log's own code: signatures by
// golang.org/x/mod/sumdb/note, hashes by golang.org/x/mod/sumdb/tlog, and the C2SP formats parsed here. Policies with
// witnesses, and what stands under them, are read and judged by filippo.io/torchwood alone.
//
//	verify checkpoint  VKEY < CHECKPOINT
//	verify proof       VKEY LEAF PROOF         a C2SP tlog-proof@v1 for the bytes of LEAF
//	verify consistency VKEY OLD NEW PROOF      two checkpoints; PROOF holds one base64 hash a line
//	verify policy-checkpoint POLICY CHECKPOINT a C2SP tlog-policy, and a checkpoint with cosignatures
//	verify policy-proof POLICY LEAF PROOF      a tlog-proof@v1 whose checkpoint must satisfy the policy
//
// The exit status is 0 when everything verifies, 1 when it does not, and 2 when a file cannot be read or the command
// line is wrong.
package main

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const (
	proofHeader = "c2sp.org/tlog-proof@v1"
	// A path in a tree of at most 2^63 leaves.
	maxHashes = 63
	usage     = `usage: verify checkpoint VKEY < CHECKPOINT
       verify proof VKEY LEAF PROOF
       verify consistency VKEY OLD NEW PROOF
       verify policy-checkpoint POLICY CHECKPOINT
       verify policy-proof POLICY LEAF PROOF`
)

// errUnusable marks what is no verdict: exit status 2.
var errUnusable = errors.New("unusable")

func main() {
	line, err := run(os.Args[1:], os.Stdin)
	switch {
	case err == nil:
		fmt.Println("OK", line)
	case errors.Is(err, errUnusable):
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	default:
		fmt.Fprintln(os.Stderr, "REFUSED", err)
		os.Exit(1)
	}
}

func run(args []string, stdin io.Reader) (string, error) {
	if len(args) < 2 {
		return "", fmt.Errorf("%w: %s", errUnusable, usage)
	}
	switch command, files := args[0], args[1:]; {
	case command == "policy-checkpoint" && len(files) == 2:
		return verifyPolicyCheckpoint(files[0], files[1])
	case command == "policy-proof" && len(files) == 3:
		return verifyPolicyProof(files[0], files[1], files[2])
	}
	verifier, err := note.NewVerifier(args[1])
	if err != nil {
		return "", fmt.Errorf("%w: the verifier key: %v", errUnusable, err)
	}
	switch command, files := args[0], args[2:]; {
	case command == "checkpoint" && len(files) == 0:
		return verifyCheckpoint(verifier, stdin)
	case command == "proof" && len(files) == 2:
		return verifyProof(verifier, files[0], files[1])
	case command == "consistency" && len(files) == 3:
		return verifyConsistency(verifier, files[0], files[1], files[2])
	}
	return "", fmt.Errorf("%w: %s", errUnusable, usage)
}

func verifyCheckpoint(verifier note.Verifier, stdin io.Reader) (string, error) {
	signed, err := io.ReadAll(stdin)
	if err != nil {
		return "", fmt.Errorf("%w: %v", errUnusable, err)
	}
	tree, err := openCheckpoint(signed, verifier)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("origin=%s size=%d root=%s", verifier.Name(), tree.N, tree.Hash), nil
}

func verifyProof(verifier note.Verifier, leafFile, proofFile string) (string, error) {
	files, err := readFiles(leafFile, proofFile)
	if err != nil {
		return "", err
	}
	head, signed, found := strings.Cut(string(files[1]), "\n\n")
	if !found {
		return "", errors.New("the proof has no checkpoint")
	}
	index, path, err := parseProofHead(head)
	if err != nil {
		return "", err
	}
	tree, err := openCheckpoint([]byte(signed), verifier)
	if err != nil {
		return "", err
	}
	if err := tlog.CheckRecord(path, tree.N, tree.Hash, index, tlog.RecordHash(files[0])); err != nil {
		return "", fmt.Errorf("inclusion of %d in %d: %w", index, tree.N, err)
	}
	return fmt.Sprintf("origin=%s index=%d size=%d hashes=%d", verifier.Name(), index, tree.N, len(path)), nil
}

func verifyPolicyCheckpoint(policyFile, checkpointFile string) (string, error) {
	files, err := readFiles(policyFile, checkpointFile)
	if err != nil {
		return "", err
	}
	policy, err := torchwood.ParsePolicy(files[0])
	if err != nil {
		return "", fmt.Errorf("%w: the policy: %v", errUnusable, err)
	}
	checkpoint, opened, err := torchwood.VerifyCheckpoint(files[1], policy)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("origin=%s size=%d root=%s signatures=%d", checkpoint.Origin, checkpoint.N, checkpoint.Hash, len(opened.Sigs)), nil
}

func verifyPolicyProof(policyFile, leafFile, proofFile string) (string, error) {
	files, err := readFiles(policyFile, leafFile, proofFile)
	if err != nil {
		return "", err
	}
	policy, err := torchwood.ParsePolicy(files[0])
	if err != nil {
		return "", fmt.Errorf("%w: the policy: %v", errUnusable, err)
	}
	if err := torchwood.VerifyProof(policy, tlog.RecordHash(files[1]), files[2]); err != nil {
		return "", err
	}
	return "the policy is satisfied", nil
}

func verifyConsistency(verifier note.Verifier, oldFile, newFile, proofFile string) (string, error) {
	files, err := readFiles(oldFile, newFile, proofFile)
	if err != nil {
		return "", err
	}
	older, err := openCheckpoint(files[0], verifier)
	if err != nil {
		return "", fmt.Errorf("old checkpoint: %w", err)
	}
	newer, err := openCheckpoint(files[1], verifier)
	if err != nil {
		return "", fmt.Errorf("new checkpoint: %w", err)
	}
	text := string(files[2])
	if text != "" && !strings.HasSuffix(text, "\n") {
		return "", errors.New("the proof does not end in a newline")
	}
	lines := strings.Split(text, "\n")
	path, err := parseHashes(lines[:len(lines)-1])
	if err != nil {
		return "", err
	}
	if err := checkTree(path, older, newer); err != nil {
		return "", fmt.Errorf("consistency of %d with %d: %w", older.N, newer.N, err)
	}
	return fmt.Sprintf("origin=%s old=%d new=%d hashes=%d", verifier.Name(), older.N, newer.N, len(path)), nil
}

// checkTree is tlog.CheckTree and what RFC 9162 section 2.1.4 leaves to the caller: the empty tree is a prefix of
// every tree, by an empty proof.
func checkTree(path []tlog.Hash, older, newer tlog.Tree) error {
	if older.N > 0 {
		return tlog.CheckTree(path, newer.N, newer.Hash, older.N, older.Hash)
	}
	empty, err := tlog.TreeHash(0, nil)
	if err != nil {
		return err
	}
	if len(path) != 0 || older.Hash != empty || (newer.N == 0 && newer.Hash != empty) {
		return errors.New("not the empty tree")
	}
	return nil
}

// openCheckpoint opens a C2SP tlog-checkpoint whose origin is the name of the key, as c2sp.org/tlog-checkpoint
// recommends.
func openCheckpoint(signed []byte, verifier note.Verifier) (tlog.Tree, error) {
	opened, err := note.Open(signed, note.VerifierList(verifier))
	if err != nil {
		return tlog.Tree{}, err
	}
	lines := strings.Split(strings.TrimSuffix(opened.Text, "\n"), "\n")
	if len(lines) < 3 {
		return tlog.Tree{}, errors.New("the checkpoint is not origin, size and root")
	}
	if lines[0] != verifier.Name() {
		return tlog.Tree{}, fmt.Errorf("the origin is %q, the key is of %q", lines[0], verifier.Name())
	}
	size, err := parseDecimal(lines[1])
	if err != nil {
		return tlog.Tree{}, fmt.Errorf("the size: %w", err)
	}
	root, err := parseHash(lines[2])
	if err != nil {
		return tlog.Tree{}, fmt.Errorf("the root: %w", err)
	}
	for _, extension := range lines[3:] {
		if extension == "" {
			return tlog.Tree{}, errors.New("an extension line is empty")
		}
	}
	return tlog.Tree{N: size, Hash: root}, nil
}

// parseProofHead reads what stands before the checkpoint. The extra line is not authenticated and says nothing here.
func parseProofHead(head string) (int64, []tlog.Hash, error) {
	lines := strings.Split(head, "\n")
	if lines[0] != proofHeader {
		return 0, nil, fmt.Errorf("the proof does not begin with %s", proofHeader)
	}
	lines = lines[1:]
	if len(lines) > 0 && strings.HasPrefix(lines[0], "extra ") {
		lines = lines[1:]
	}
	if len(lines) == 0 || !strings.HasPrefix(lines[0], "index ") {
		return 0, nil, errors.New("the proof has no index")
	}
	index, err := parseDecimal(strings.TrimPrefix(lines[0], "index "))
	if err != nil {
		return 0, nil, fmt.Errorf("the index: %w", err)
	}
	path, err := parseHashes(lines[1:])
	return index, path, err
}

func parseHashes(lines []string) ([]tlog.Hash, error) {
	if len(lines) > maxHashes {
		return nil, fmt.Errorf("%d hashes, at most %d make sense", len(lines), maxHashes)
	}
	hashes := make([]tlog.Hash, len(lines))
	for i, line := range lines {
		hash, err := parseHash(line)
		if err != nil {
			return nil, fmt.Errorf("hash %d: %w", i, err)
		}
		hashes[i] = hash
	}
	return hashes, nil
}

// parseHash takes canonical base64 only: what encodes back to the same text.
func parseHash(text string) (tlog.Hash, error) {
	hash, err := tlog.ParseHash(text)
	if err == nil && base64.StdEncoding.EncodeToString(hash[:]) != text {
		err = errors.New("not canonical base64")
	}
	return hash, err
}

// parseDecimal takes a number as Go would write it: no sign, no leading zero.
func parseDecimal(text string) (int64, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 || strconv.FormatInt(n, 10) != text {
		return 0, fmt.Errorf("%q is no decimal number", text)
	}
	return n, nil
}

func readFiles(names ...string) ([][]byte, error) {
	contents := make([][]byte, len(names))
	for i, name := range names {
		content, err := os.ReadFile(name)
		if err != nil {
			return nil, fmt.Errorf("%w: %v", errUnusable, err)
		}
		contents[i] = content
	}
	return contents, nil
}
