# make demo         build, and see the main job work in the sandbox, with no AWS account
# make test         the tests
# make lint         the linters (built on first use, some minutes)
# make peers        the same against AWS's helper and aws-iam-authenticator
# make e2e          against Kubernetes, its webhook and the AWS SDKs (built on first use, some minutes)
# make browser      the page of the audit trail, in headless Chromium
# make bench        times, beside the programs that do the same
# make bench-audit  the speed and memory of the audit trail, beside jq (makes a gibibyte of logs)
# make fuzz         each fuzz target for a while
# make build        bin/eks-x509, static

SHELL := /bin/sh
export CGO_ENABLED ?= 1
# The race detector needs a C compiler.
RACE := $(if $(shell command -v gcc || command -v cc || command -v clang),-race)
FUZZTIME ?= 20s

.PHONY: build demo test peers e2e browser bench bench-audit lint fuzz clean

build:
	CGO_ENABLED=0 go build -trimpath -o bin/eks-x509 ./cmd/eks-x509

demo: build
	cd test/demo && CGO_ENABLED=0 go build -o ../../bin/demo .
	PATH="$(CURDIR)/bin:$$PATH" bin/eks-x509 sandbox --for sh test/demo/demo.sh

test:
	@$(if $(RACE),,echo 'no C compiler: the tests run without the race detector')
	go vet ./...
	go test $(RACE) -timeout 30m ./...
	@# as the program is shipped, without cgo: then it confines itself
	CGO_ENABLED=0 go test -run '^TestConfined$$' ./internal/cli
	CGO_ENABLED=0 go test -run '^TestScripts$$/^(confined|token|env|credential_process|cache.*|password|key_types)$$' ./internal/cli

peers:
	cd test/peers && go test ./...

e2e:
	@missing=; for file in etcd:etcd-server aws:awscli node:nodejs npm:npm; do \
		command -v "$${file%:*}" >/dev/null || missing="$$missing $${file#*:}"; done; \
	/usr/bin/python3 -c 'import boto3' 2>/dev/null || missing="$$missing python3-boto3"; \
	[ -z "$$missing" ] || apt-get install -y -q --no-install-recommends $$missing
	cd test/e2e && go test -count=1 -timeout 60m -v -bench . ./...

browser:
	@command -v chromium >/dev/null || apt-get install -y -q --no-install-recommends chromium fonts-dejavu-core
	cd test/browser && go vet ./... && go test -count=1 -timeout 20m ./...

bench:
	@command -v aws >/dev/null || apt-get install -y -q --no-install-recommends awscli || echo 'no AWS CLI: its rows are left out'
	cd test/bench && go run .

bench-audit:
	@command -v jq >/dev/null || apt-get install -y -q --no-install-recommends jq
	cd test/bench && go run ./audit $(BENCHFLAGS)

lint:
	go tool -modfile=tools/go.mod golangci-lint run ./...

# Before Go 1.27 the fuzzer may call its own end of time a failure, without an
# input that fails: go.dev/issue/75804. Where goroutines make the coverage vary,
# it would spend its time on making inputs smaller.
fuzz:
	@set -e; out=$$(mktemp); trap 'rm -f "$$out"' EXIT; for package in $$(go list ./...); do \
		for target in $$(go test -list '^Fuzz' $$package | grep '^Fuzz' || true); do \
			echo "$$package $$target"; \
			go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x $$package >"$$out" 2>&1 || \
				{ grep -q 'context deadline exceeded' "$$out" && ! grep -q 'Failing input' "$$out"; } || { cat "$$out"; exit 1; }; \
			tail -n 2 "$$out"; \
		done; \
	done

clean:
	rm -rf bin dist
