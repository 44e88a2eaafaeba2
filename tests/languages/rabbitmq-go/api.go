package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

type order struct {
	ID       *string      `json:"order_id"`
	Customer *string      `json:"customer"`
	Amount   *json.Number `json:"amount_cents"`
}

var (
	idShape     = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)
	amountShape = regexp.MustCompile(`^[1-9][0-9]{0,9}$`)
)

// parsed returns the order's id and amount; an error for anything that is no order.
func parsed(body []byte) (string, int64, error) {
	var one order
	reader := json.NewDecoder(bytes.NewReader(body))
	reader.UseNumber()
	if err := reader.Decode(&one); err != nil {
		return "", 0, err
	}
	if reader.More() || one.ID == nil || one.Customer == nil || one.Amount == nil || *one.Customer == "" {
		return "", 0, fmt.Errorf("a field is missing")
	}
	// json.Number takes "12" for 12: look at what was really sent.
	var raw map[string]json.RawMessage
	_ = json.Unmarshal(body, &raw)
	amount, err := one.Amount.Int64()
	if err != nil || !amountShape.Match(bytes.TrimSpace(raw["amount_cents"])) || amount > 2147483647 {
		return "", 0, fmt.Errorf("amount_cents is no amount")
	}
	if !idShape.MatchString(*one.ID) {
		return "", 0, fmt.Errorf("order_id is no id")
	}
	return *one.ID, amount, nil
}

// publisher owns one connection; anything doubtful about it, and it is replaced.
type publisher struct {
	turn    sync.Mutex
	line    *line
	timeout time.Duration
}

func (p *publisher) with(act func(context.Context, *line) error) error {
	result := make(chan error, 1)
	ctx, cancel := context.WithTimeout(context.Background(), p.timeout)
	go func() {
		defer cancel()
		p.turn.Lock()
		defer p.turn.Unlock()
		if ctx.Err() != nil {
			result <- ctx.Err()
			return
		}
		if p.line == nil || p.line.connection.IsClosed() || p.line.channel.IsClosed() {
			fresh, err := dial(p.timeout)
			if err != nil {
				result <- err
				return
			}
			p.line = fresh
		}
		err := act(ctx, p.line)
		if err != nil {
			gone := p.line
			p.line = nil
			go gone.connection.CloseDeadline(time.Now().Add(time.Second))
		}
		result <- err
	}()
	select {
	case err := <-result:
		return err
	case <-time.After(p.timeout + time.Second):
		return fmt.Errorf("the broker says nothing")
	}
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

func api() http.Handler {
	p := &publisher{timeout: milliseconds("CONFIRM_TIMEOUT_MS", 2000)}
	routes := http.NewServeMux()
	routes.HandleFunc("POST /orders", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
		id, _, bad := parsed(body)
		if err != nil || bad != nil {
			answer(w, 400, map[string]string{"error": "bad_request"})
			return
		}
		err = p.with(func(ctx context.Context, l *line) error {
			return l.publish(ctx, exchange, key, amqp.Publishing{Body: body, MessageId: id})
		})
		if err != nil {
			fmt.Println("unavailable:", err)
			answer(w, 503, map[string]string{"error": "unavailable"})
			return
		}
		answer(w, 202, map[string]string{"order_id": id})
	})
	routes.HandleFunc("GET /metrics", func(w http.ResponseWriter, r *http.Request) {
		ready := 0
		err := p.with(func(_ context.Context, l *line) error {
			found, err := l.channel.QueueDeclarePassive(queue, true, false, false, false, nil)
			ready = found.Messages
			return err
		})
		if err != nil {
			answer(w, 503, map[string]string{"error": "unavailable"})
			return
		}
		fmt.Fprintf(w, "# TYPE invoices_ready gauge\ninvoices_ready %d\n", ready)
	})
	return routes
}
