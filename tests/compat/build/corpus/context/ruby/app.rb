hello from ruby
