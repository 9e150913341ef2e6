package sandbox

import (
	"fmt"
	"net/http"
)

// Refusal is a request turned down: what AWS answers, and the reason, which is more exact than AWS would tell a caller.
type Refusal struct {
	Status        int
	Code, Message string
	Reason        string
}

func (r *Refusal) Error() string { return fmt.Sprintf("%s: %s (%s)", r.Code, r.Message, r.Reason) }

func refuse(status int, code, message, reason string, args ...any) *Refusal {
	return &Refusal{status, code, message, fmt.Sprintf(reason, args...)}
}

func denied(message, reason string, args ...any) *Refusal {
	return refuse(http.StatusForbidden, "AccessDeniedException", message, reason, args...)
}

// invalid has nothing to hide: the message is the reason.
func invalid(reason string, args ...any) *Refusal {
	r := refuse(http.StatusBadRequest, "ValidationException", "", reason, args...)
	r.Message = r.Reason
	return r
}
