#!/bin/sh
# Makes the running server use the configuration as it is now.
nginx -s reload -c /etc/nginx/lab/nginx.conf
