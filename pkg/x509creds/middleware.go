package x509creds

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/eks-x509/eks-x509/pkg/sigv4x509"
)

// service is the signing name in the credential scope.
const service = "rolesanywhere"

// addMiddleware puts our signing step in the place of SigV4's, and three small
// steps around the generated client's own.
func (p *Provider) addMiddleware(stack *middleware.Stack) error {
	for _, id := range []string{"setLegacyContextSigningOptions", "GetIdentity", "Signing"} {
		if _, err := stack.Finalize.Remove(id); err != nil {
			return err
		}
	}
	// Last, inside the retry loop: each attempt is signed with its own date.
	if err := stack.Finalize.Add(middleware.FinalizeMiddlewareFunc("Signing", p.sign), middleware.After); err != nil {
		return err
	}
	if err := stack.Serialize.Add(middleware.SerializeMiddlewareFunc("QueryToBody", queryToBody), middleware.After); err != nil {
		return err
	}
	// Nearest to the wire: it sees the answer before the operation's deserializer.
	if err := stack.Deserialize.Add(middleware.DeserializeMiddlewareFunc("RefuseForeign", refuseForeign), middleware.After); err != nil {
		return err
	}
	if p.options.UserAgent == "" {
		return nil
	}
	_, err := stack.Build.Swap("UserAgent", middleware.BuildMiddlewareFunc("UserAgent", p.setUserAgent))
	return err
}

func (p *Provider) sign(ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler) (
	out middleware.FinalizeOutput, metadata middleware.Metadata, err error,
) {
	request, ok := in.Request.(*smithyhttp.Request)
	if !ok {
		return out, metadata, fmt.Errorf("x509creds: internal error: transport %T", in.Request)
	}
	err = sigv4x509.SignHTTP(ctx, p.identity, request.Request, v4.GetPayloadHash(ctx), service, p.options.Region, p.options.Now())
	if err != nil {
		return out, metadata, &signError{err}
	}
	return attempt(ctx, in, next)
}

// attempt bounds one attempt; refuseForeign, which runs inside, reads the answer.
func attempt(ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler) (
	out middleware.FinalizeOutput, metadata middleware.Metadata, err error,
) {
	bounded, cancel := context.WithTimeoutCause(ctx, AttemptTimeout, &deadlineError{after: AttemptTimeout})
	defer cancel()
	out, metadata, err = next.HandleFinalize(bounded, in)
	if late, ok := errors.AsType[*deadlineError](context.Cause(bounded)); ok && err != nil && ctx.Err() == nil {
		err = late // the client's own would say that the caller canceled it, which is never tried again
	}
	return out, metadata, err
}

// queryToBody moves the ARNs, which the generated serializer puts into the
// query, to the JSON body, where CreateSession takes them as well (as AWS's Java
// and Python clients send them). AWS's pages disagree on how a "=" in a query
// value is encoded for signing, and a role's name may hold one.
func queryToBody(ctx context.Context, in middleware.SerializeInput, next middleware.SerializeHandler) (
	out middleware.SerializeOutput, metadata middleware.Metadata, err error,
) {
	request, ok := in.Request.(*smithyhttp.Request)
	if !ok {
		return out, metadata, fmt.Errorf("x509creds: internal error: transport %T", in.Request)
	}
	body := map[string]any{}
	if err := json.NewDecoder(request.GetStream()).Decode(&body); err != nil {
		return out, metadata, fmt.Errorf("x509creds: internal error: request body: %w", err)
	}
	for name, values := range request.URL.Query() {
		body[name] = values[0]
	}
	encoded, err := json.Marshal(body)
	if err != nil {
		return out, metadata, err
	}
	request.URL.RawQuery = ""
	// Only Read and Seek are shown. smithy-go closes a body when the answer has
	// come, and its closed body's WriteTo returns io.EOF, which net/http takes for
	// a failed write: it then closes the connection under the answer. With our
	// headers, larger than net/http's buffer, that race is lost now and then.
	if request, err = request.SetStream(struct{ io.ReadSeeker }{bytes.NewReader(encoded)}); err != nil {
		return out, metadata, err
	}
	in.Request = request
	return next.HandleSerialize(ctx, in)
}

// refuseForeign keeps what a proxy or a captive portal answers from being read as
// AWS's.
func refuseForeign(ctx context.Context, in middleware.DeserializeInput, next middleware.DeserializeHandler) (
	out middleware.DeserializeOutput, metadata middleware.Metadata, err error,
) {
	out, metadata, err = next.HandleDeserialize(ctx, in)
	response, ok := out.RawResponse.(*smithyhttp.Response)
	if err != nil || !ok {
		return out, metadata, err
	}
	const limit = 1 << 20 // an answer is a few kilobytes
	body, err := io.ReadAll(io.LimitReader(response.Body, limit))
	closeErr := response.Body.Close()
	if err := errors.Join(err, closeErr); err != nil {
		return out, metadata, err
	}
	body = bytes.TrimSpace(bytes.TrimPrefix(body, []byte("\xef\xbb\xbf"))) // a byte order mark is not JSON's
	if err := foreign(response.Response, body); err != nil {
		return out, metadata, err
	}
	response.Body = io.NopCloser(bytes.NewReader(body))
	return out, metadata, nil
}

func (p *Provider) setUserAgent(ctx context.Context, in middleware.BuildInput, next middleware.BuildHandler) (
	middleware.BuildOutput, middleware.Metadata, error,
) {
	if request, ok := in.Request.(*smithyhttp.Request); ok {
		request.Header.Set("User-Agent", p.options.UserAgent)
	}
	return next.HandleBuild(ctx, in)
}

func requestID(metadata middleware.Metadata) string {
	id, _ := awsmiddleware.GetRequestIDMetadata(metadata)
	return id
}
