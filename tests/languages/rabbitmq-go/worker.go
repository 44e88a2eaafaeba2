package main

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/lib/pq"
	amqp "github.com/rabbitmq/amqp091-go"
)

var errRefused = errors.New("the gateway refuses this order for ever")

type worker struct {
	table   *sql.DB
	client  *http.Client
	stop    context.Context
	ready   chan struct{}
	limit   int
	delay   int
	stopped chan struct{}
}

func (w *worker) sign(id string, amount int64) (string, error) {
	body, _ := json.Marshal(map[string]any{"order_id": id, "amount_cents": amount})
	request, _ := http.NewRequest("POST", os.Getenv("GATEWAY_URL")+"/sign", bytes.NewReader(body))
	request.Header.Set("Idempotency-Key", id)
	reply, err := w.client.Do(request)
	if err != nil {
		return "", err
	}
	defer reply.Body.Close()
	if reply.StatusCode == 422 {
		return "", errRefused
	}
	if reply.StatusCode != 200 {
		return "", fmt.Errorf("the gateway answered %d", reply.StatusCode)
	}
	text, err := io.ReadAll(io.LimitReader(reply.Body, 1<<16))
	var signed struct {
		Signature string `json:"signature"`
	}
	if err == nil {
		err = json.Unmarshal(text, &signed)
	}
	if err == nil && signed.Signature == "" {
		err = errors.New("no signature")
	}
	return signed.Signature, err
}

func (w *worker) record(id, signature string, amount int64) error {
	_, err := w.table.Exec("INSERT INTO billing.invoice VALUES ($1, $2, $3)", id, signature, amount)
	var known *pq.Error
	if errors.As(err, &known) && known.Code == "23505" {
		return nil // somebody has been quicker, or this is a second delivery
	}
	return err
}

func made(message amqp.Delivery) int {
	switch count := message.Headers["x-attempts"].(type) {
	case int32:
		return int(count)
	case int64:
		return int(count)
	case int16:
		return int(count)
	case int8:
		return int(count)
	case uint8:
		return int(count)
	}
	return 0
}

// settle brings a message to a safe end and acknowledges it; an error means that the broker must have it back.
func (w *worker) settle(l *line, message amqp.Delivery) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	attempts := made(message)
	move := func(to, reason, expiration string) error {
		headers := amqp.Table{"x-attempts": int32(attempts)}
		if reason != "" {
			headers["x-error"] = reason
		}
		return l.publish(ctx, "", to, amqp.Publishing{
			Body: message.Body, MessageId: message.MessageId, Headers: headers, Expiration: expiration,
		})
	}
	id, amount, err := parsed(message.Body)
	if err != nil {
		err = move(dead, "malformed: "+err.Error(), "")
	} else {
		attempts++
		var signature string
		signature, err = w.sign(id, amount)
		if err == nil {
			err = w.record(id, signature, amount)
		}
		ctx, cancel = context.WithTimeout(context.Background(), 10*time.Second) // the gateway took its time
		defer cancel()
		switch {
		case errors.Is(err, errRefused) || (err != nil && attempts >= w.limit):
			err = move(dead, err.Error(), "")
		case err != nil:
			err = move(waiting, "", strconv.Itoa(w.delay))
		}
	}
	if err != nil {
		return err
	}
	return message.Ack(false)
}

// consume works until the connection is gone, or until it is told to stop.
func (w *worker) consume() error {
	l, err := dial(5 * time.Second)
	if err != nil {
		return err
	}
	defer l.connection.CloseDeadline(time.Now().Add(2 * time.Second))
	if err := l.channel.Qos(number("PREFETCH", 4), 0, false); err != nil {
		return err
	}
	messages, err := l.channel.Consume(queue, "me", false, false, false, false, nil)
	if err != nil {
		return err
	}
	select {
	case <-w.ready:
	default:
		close(w.ready)
	}
	go func() {
		<-w.stop.Done()
		_ = l.channel.Cancel("me", false)
	}()
	for message := range messages { // what was prefetched still comes after the cancel
		if err := w.settle(l, message); err != nil {
			return err
		}
	}
	return nil
}

func (w *worker) run() {
	for w.stop.Err() == nil {
		if err := w.consume(); err != nil {
			fmt.Println("worker:", err)
		}
		if w.stop.Err() == nil {
			time.Sleep(300 * time.Millisecond)
		}
	}
	close(w.stopped)
}

func replay() error {
	l, err := dial(5 * time.Second)
	if err != nil {
		return err
	}
	defer l.connection.Close()
	found, err := l.channel.QueueDeclarePassive(dead, true, false, false, false, nil)
	if err != nil {
		return err
	}
	back, left := 0, []amqp.Delivery{}
	for range found.Messages {
		message, ok, err := l.channel.Get(dead, false)
		if err != nil || !ok {
			break
		}
		if _, _, err := parsed(message.Body); err != nil {
			left = append(left, message)
			continue
		}
		again := amqp.Publishing{Body: message.Body, MessageId: message.MessageId}
		if err := l.publish(context.Background(), exchange, key, again); err != nil {
			return err
		}
		if err := message.Ack(false); err != nil {
			return err
		}
		back++
	}
	for _, message := range left {
		_ = message.Nack(false, true)
	}
	fmt.Printf("replayed: %d, hopeless and left alone: %d\n", back, len(left))
	return nil
}
